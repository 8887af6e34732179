import type { GuestStat } from '../../../src/access/guest-reader.js';
import type { GuestWriter } from '../../../src/access/guest-writer.js';
import { memoryGuest, refused } from './memory-guest.js';

/** A guest that is a map of files. */
export function memoryWriter(
  files: Record<string, string | Buffer>,
): GuestWriter & { files: Map<string, Buffer>; xattrs: Map<string, Buffer> } {
  const all = new Map<string, Buffer>(
    Object.entries(files).map(([path, content]) => [path, Buffer.from(content as string)]),
  );
  /** By path, NUL and name. */
  const xattrs = new Map<string, Buffer>();
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
    xattrs,
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
    setXattr: async (path, name, value) => void xattrs.set(`${path}\0${name}`, value),
    getXattr: async (path, name) => {
      const value = xattrs.get(`${path}\0${name}`);
      if (value === undefined) throw refused(path, 'ENODATA');
      return value;
    },
    run: async () => '',
    sync: async () => undefined,
  };
}
