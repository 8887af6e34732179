export const DAY_SECONDS = 86_400;
/**
 * Time limit for whatever reads or writes whole disks, longer than any takes. Node's timers end at 24 days.
 */
export const WEEK_SECONDS = 7 * DAY_SECONDS;
