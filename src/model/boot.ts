import { z } from 'zod';

/** The levels of a boot, in order. */
export const BOOT_LEVELS = [
  'none',
  'firmware',
  'bootloader',
  'kernel',
  'root',
  'userspace',
  'login',
] as const;
const bootLevelSchema = z.enum(BOOT_LEVELS);
export type BootLevel = z.infer<typeof bootLevelSchema>;

/** Returns a level's position in the order of a boot; higher is further. */
export function rank(level: BootLevel): number {
  return BOOT_LEVELS.indexOf(level);
}

/** What `validate.require` may require of a booted guest. */
export const BOOT_REQUIREMENTS = ['mounts', 'network', 'units'] as const;
export type BootRequirement = (typeof BOOT_REQUIREMENTS)[number];

/** What a booted guest may lack: the warning's code, and its name in `validate.require`. */
export const BOOT_WARNINGS = {
  'validate.missing-mounts': 'mounts',
  'validate.missing-address': 'network',
  'validate.no-address': 'network',
  'validate.failed-units': 'units',
} as const satisfies Record<string, BootRequirement>;
export type BootWarningCode = keyof typeof BOOT_WARNINGS;

/** The contents of boot/boot.json. Screens and logs are file names inside `boot/`. */
export const bootSchema = z.object({
  verdict: z.enum(['booted', 'failed', 'inconclusive']),
  /** What did not come up in a guest that booted, shown as "booted, with warnings". */
  warnings: z
    .array(z.object({ code: z.enum(Object.keys(BOOT_WARNINGS) as BootWarningCode[]), message: z.string() }))
    .default([]),
  level: bootLevelSchema,
  /** Seconds from power-on to the verdict. */
  seconds: z.number(),
  accelerator: z.enum(['kvm', 'tcg']),
  firmware: z.enum(['bios', 'uefi']),
  command_line: z.array(z.string()),
  /** The recognised signature of a failure, its meaning and the remedy; null if it booted. */
  failure: z
    .object({
      signature: z.string(),
      meaning: z.string(),
      advice: z.string(),
      /** What the guest's messages name as failed: mount points, devices. Absent where they name nothing. */
      named: z.array(z.string()).optional(),
    })
    .nullable(),
  /** What each level was recognised by, in order of time. `source` is serial, qmp or screen. */
  evidence: z.array(
    z.object({ level: bootLevelSchema, at_seconds: z.number(), source: z.string(), text: z.string() }),
  ),
  screens: z.array(z.object({ file: z.string(), at_seconds: z.number(), level: bootLevelSchema })),
  /** The guest's own report; null if it has no unit for one or did not get that far. */
  guest: z
    .object({
      addresses: z.array(z.string()),
      mounts: z.array(z.object({ device: z.string(), mountpoint: z.string(), type: z.string() })),
      missing_mounts: z.array(z.string()),
      swaps: z.array(z.string()),
      failed_units: z.array(z.string()),
    })
    .nullable(),
  evidence_changes: z.array(z.string()),
  attempts: z.int(),
});
export type Boot = z.infer<typeof bootSchema>;

/**
 * The proof for a data disk: source and delivered disk were compared byte for byte (qemu-img compare).
 * `virtual_size` is in bytes.
 */
export const contentSchema = z.object({
  verdict: z.literal('identical'),
  seconds: z.number(),
  disks: z.array(z.object({ index: z.int(), virtual_size: z.int() })),
});
export type Content = z.infer<typeof contentSchema>;
