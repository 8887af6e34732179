import { z } from 'zod';

/** One file of the drop: `path` relative to the source directory, `size` in bytes. */
export const sourceFileSchema = z.object({ path: z.string(), size: z.int(), sha256: z.string() });
export type SourceFile = z.infer<typeof sourceFileSchema>;

/**
 * What CONVERT and its digests read from disks and wrote to them, in bytes, beside what had to be: the used
 * bytes of the source, and the space that the delivered disks take.
 */
export const deviceTrafficSchema = z.object({
  read: z.int(),
  used: z.int(),
  written: z.int(),
  delivered: z.int(),
});
export type DeviceTraffic = z.infer<typeof deviceTrafficSchema>;

export interface Versions {
  hyper2kvm: string;
  /** Null where the host's part could not be asked. */
  qemu: string | null;
  libguestfs: string | null;
}
