import type { GuestStat } from '../../../src/access/guest-reader.js';
import type { GuestWriter } from '../../../src/access/guest-writer.js';
import { memoryGuest, refused } from './memory-guest.js';

/** A guest that is a map of files. */
export function memoryWriter(
  files: Record<string, string | Buffer>,
): GuestWriter & { files: Map<string, Buffer> } {
  const all = new Map<string, Buffer>(
    Object.entries(files).map(([path, content]) => [path, Buffer.from(content as string)]),
  );
  const get = (path: string) => {
    const content = all.get(path);
    if (content === undefined) throw refused(path, 'ENOENT');
    return content;
  };
  const put = async (path: string, content: Buffer) => void all.set(path, content);
  const stat = async (path: string): Promise<GuestStat | null> => {
    const size = all.get(path)?.length;
    const owner = { uid: 0, gid: 0, device: 1, inode: [...all.keys()].indexOf(path) };
    return size === undefined ? null : { type: 'file', mode: 0o644, size, ...owner };
  };
  return {
    ...memoryGuest({}).reader,
    files: all,
    stat,
    lstat: stat,
    read: async (path) => get(path),
    readAt: async (path, offset, length) => get(path).subarray(offset, offset + length),
    rewrite: put,
    create: put,
    remove: async (path) => void all.delete(path),
    symlink: (path, target) => put(path, Buffer.from(target)),
    copy: (from, path) => put(path, get(from)),
    append: (path, bytes, offset) => put(path, Buffer.concat([get(path).subarray(0, offset), bytes])),
    editHive: async (path) => {
      throw refused(`editHive ${path}`, 'ENOSYS');
    },
    setXattr: async (path) => void get(path),
    run: async () => '',
    sync: async () => undefined,
  };
}
