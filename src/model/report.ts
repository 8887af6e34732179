import { z } from 'zod';

/** One file of the drop: `path` relative to the source directory, `size` in bytes. */
export const sourceFileSchema = z.object({ path: z.string(), size: z.int(), sha256: z.string() });
export type SourceFile = z.infer<typeof sourceFileSchema>;

export interface Versions {
  hyper2kvm: string;
  /** Null where the host's part could not be asked. */
  qemu: string | null;
  libguestfs: string | null;
}
