import type { GuestWriter } from '../../../../src/access/guest-writer.js';

/** A guest that is a map of files. */
export function targetOf(
  files: Record<string, string | Buffer>,
): GuestWriter & { files: Map<string, Buffer> } {
  const all = new Map<string, Buffer>(
    Object.entries(files).map(([path, content]) => [path, Buffer.from(content as string)]),
  );
  const get = (path: string) => {
    const content = all.get(path);
    if (content === undefined) throw new Error(`no ${path}`);
    return content;
  };
  const put = async (path: string, content: Buffer) => void all.set(path, content);
  return {
    files: all,
    read: async (path) => get(path),
    rewrite: put,
    create: put,
    remove: async (path) => void all.delete(path),
    symlink: (path, target) => put(path, Buffer.from(target)),
    copy: (from, path) => put(path, get(from)),
    size: async (path) => get(path).length,
    append: (path, bytes, offset) => put(path, Buffer.concat([get(path).subarray(0, offset), bytes])),
    readAt: async (path, offset, length) => get(path).subarray(offset, offset + length),
    exists: async (path) => all.has(path),
    run: async () => '',
  };
}
