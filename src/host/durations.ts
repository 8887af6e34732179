export const DAY_SECONDS = 86_400;
/** The limit of what reads or writes whole disks: longer than any takes. Timers of Node end at 24 days. */
export const WEEK_SECONDS = 7 * DAY_SECONDS;
