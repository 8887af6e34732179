import { z } from 'zod';

/**
 * What FIX may do to a guest. Plain JSON. Paths are absolute in the guest. Text is UTF-8 unless `encoding` says `latin1` (a file that is not
 * valid UTF-8 keeps its bytes that way).
 */
const common = { fixer: z.string(), reason: z.string() };
const encoding = z.enum(['utf8', 'latin1']);

export const operationSchema = z.discriminatedUnion('op', [
  /** Rewrites in place (same inode, owner, mode, xattrs) when `before` is not null, otherwise creates the file with `mode`, root:root. */
  z.object({
    op: z.literal('write_file'),
    ...common,
    path: z.string(),
    before: z.string().nullable(),
    after: z.string(),
    encoding,
    mode: z.int(),
  }),
  z.object({ op: z.literal('remove'), ...common, path: z.string(), before: z.string().nullable(), encoding }),
  /** Creates or replaces a symbolic link (a unit masked with /dev/null). */
  z.object({ op: z.literal('symlink'), ...common, path: z.string(), target: z.string() }),
  /** Copies a file inside the guest, creating parent directories (the UEFI fallback loader). */
  z.object({ op: z.literal('copy_file'), ...common, from: z.string(), path: z.string() }),
  /**
   * Appends one newc archive with `files` (guest paths under the kernel's modules directory) to the initramfs `path`. `lib` says under which
   * directory of the initramfs they go. `modules` are the names that must be listed afterwards.
   */
  z.object({
    op: z.literal('append_initramfs'),
    ...common,
    path: z.string(),
    kernel: z.string(),
    lib: z.enum(['lib', 'usr/lib']),
    files: z.array(z.string()),
    modules: z.array(z.string()),
    /** Configuration files inside that the archive replaces, by their path there; null: hidden by a link to nowhere. */
    replace: z.array(z.object({ path: z.string(), text: z.string().nullable() })).optional(),
  }),
  /** Runs a command of the guest in the appliance's chroot, then proves that the initramfs `path` lists `modules`. */
  z.object({
    op: z.literal('rebuild_initramfs'),
    ...common,
    path: z.string(),
    kernel: z.string(),
    command: z.array(z.string()),
    modules: z.array(z.string()),
  }),
  /**
   * Copies the packages (names in the host's `directory`, with their SHA-256) to /var/tmp of the guest, runs `command` with their guest paths behind it, removes
   * them, and proves that one of `programs` (guest paths) is there.
   */
  z.object({
    op: z.literal('install_packages'),
    ...common,
    directory: z.string(),
    packages: z.array(z.object({ file: z.string(), sha256: z.string() })),
    command: z.array(z.string()),
    programs: z.array(z.string()),
  }),
  z.object({ op: z.literal('run'), ...common, command: z.array(z.string()) }),
]);
export type Operation = z.infer<typeof operationSchema>;
