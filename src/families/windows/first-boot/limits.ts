/** What the first-boot program takes at most: program/limits.h has the same numbers. */
export const LIMITS = {
  MAX_PLAN_BYTES: 16 * 1024 * 1024,
  /** Characters of a step's name and of the folder for states. */
  MAX_NAME: 32,
  MAX_SECONDS: 86_400,
  /** Characters, with variables filled in. */
  MAX_COMMAND: 32_766,
  MAX_VALUE_BYTES: 65_536,
  /** Characters without the prefix. */
  MAX_ADDRESS: 63,
  /** Disks of the machine. */
  MAX_DISKS: 256,
} as const;
