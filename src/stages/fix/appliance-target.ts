import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { GuestWriter } from '../../access/guest-writer.js';
import { hasErrno } from '../../appliance/errors.js';
import type { ApplianceSession } from '../../appliance/session.js';
import { Hyper2kvmError } from '../../errors/error.js';
import { refusal } from '../inspect/tolerate.js';

/** libguestfs' protocol carries at most 4 MiB in one message; larger contents go by file. */
const MAX_MESSAGE_BYTES = 2 * 1024 * 1024;
const SELINUX_XATTR = 'security.selinux';
/** getxattr(2). */
const ENOENT = 2;
const ENOTDIR = 20;
const ENODATA = 61;
const ENOTSUP = 95;

/** Files of the same kind have the same label; where there is none, the directory's own is what the kernel would give. At most three. */
function likeliest(names: readonly string[], path: string): string[] {
  const own = path.slice(path.lastIndexOf('/') + 1);
  const kind = /\.\w+$/.exec(own)?.[0];
  return names.filter((name) => name !== own && kind !== undefined && name.endsWith(kind)).slice(0, 3);
}

/** The directories above, nearest first, without the root. */
function ancestors(path: string): string[] {
  const parent = path.slice(0, path.lastIndexOf('/'));
  return parent === '' ? [] : [parent, ...ancestors(parent)];
}

/** Executes on the guest's mounted filesystems in the appliance. */
export function applianceTarget(
  session: ApplianceSession,
  workDirectory: string,
  selinux: boolean,
): GuestWriter {
  const scratch = join(workDirectory, 'transfer.part');

  /** chattr(1)'s `i` and `a`, which forbid root to change what is there; empty also where the filesystem knows no flags. */
  async function locksOf(path: string): Promise<string> {
    try {
      return (await session.call('get_e2attrs', path)).replace(/[^ai]/g, '');
    } catch (error) {
      refusal(error);
      return '';
    }
  }

  /** `work` on `path`; where it is refused and flags forbid it, on the path or a directory above, they are taken off for as long as it lasts. */
  async function unlocking(path: string, work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      refusal(error);
      const locked: { path: string; flags: string }[] = [];
      for (const place of [path, ...ancestors(path)]) {
        const flags = await locksOf(place);
        if (flags !== '') locked.push({ path: place, flags });
      }
      if (locked.length === 0) throw error;
      for (const { path: place, flags } of locked)
        await session.call('set_e2attrs', place, flags, { clear: true });
      await work();
      // What was removed has none any more.
      for (const { path: place, flags } of locked)
        if (await isThere(place)) await session.call('set_e2attrs', place, flags);
    }
  }

  async function put(path: string, content: Buffer): Promise<void> {
    if (content.length <= MAX_MESSAGE_BYTES) return session.call('write', path, content);
    await writeFile(scratch, content);
    await session.call('upload', scratch, path);
    await rm(scratch);
  }

  /** Also a directory, and a link to nowhere. */
  async function isThere(path: string): Promise<boolean> {
    try {
      await session.call('lstatns', path);
      return true;
    } catch (error) {
      if (hasErrno(error, ENOENT) || hasErrno(error, ENOTDIR)) return false;
      throw error;
    }
  }

  async function makeParents(path: string): Promise<void> {
    const parent = path.slice(0, path.lastIndexOf('/'));
    if (parent === '' || (await session.call('is_dir_opts', parent, { followsymlinks: true }))) return;
    await makeParents(parent);
    await session.call('mkdir_p', parent);
    await label(parent);
  }

  /** A new file takes its neighbour's label; where no neighbour has one, the guest relabels itself at its next start. */
  async function label(path: string): Promise<void> {
    if (!selinux) return;
    const parent = path.slice(0, path.lastIndexOf('/')) || '/';
    const names = await session.call('ls', parent);
    for (const neighbour of [...likeliest(names, path), '.']) {
      try {
        // Of a link itself: masked units and dangling links are common neighbours.
        const value = await session.call('lgetxattr', `${parent}/${neighbour}`, SELINUX_XATTR);
        await session.call('lsetxattr', SELINUX_XATTR, value, path);
        return;
      } catch (error) {
        // The ESP's vfat has no labels at all.
        if (hasErrno(error, ENOTSUP)) return;
        // This neighbour has no label, the next may have one.
        if (!hasErrno(error, ENODATA)) throw error;
      }
    }
    await session.call('write', '/.autorelabel', Buffer.alloc(0));
  }

  return {
    async read(path) {
      const { size } = await session.call('statns', path);
      if (size <= MAX_MESSAGE_BYTES) return session.call('read_file', path);
      await session.call('download', path, scratch);
      const content = await readFile(scratch);
      await rm(scratch);
      return content;
    },
    rewrite: (path, content) => unlocking(path, () => put(path, content)),
    async create(path, content, mode) {
      if (await isThere(path))
        throw new Hyper2kvmError(
          'fix.unexpected-file',
          `${path} is in the guest, but INSPECT did not see it`,
          {
            advice:
              'It is not overwritten. Send report.json and plan.json with a bug report; moving the file away in the guest helps until then.',
          },
        );
      await unlocking(path, async () => {
        await makeParents(path);
        await put(path, content);
      });
      await session.call('chmod', mode & 0o7777, path);
      await label(path);
    },
    remove: (path) => unlocking(path, () => session.call('rm_f', path)),
    async symlink(path, target) {
      await unlocking(path, async () => {
        await makeParents(path);
        await session.call('ln_sf', target, path);
      });
      await label(path);
    },
    async copy(from, path) {
      await unlocking(path, async () => {
        await makeParents(path);
        await session.call('cp', from, path);
      });
      await label(path);
    },
    size: async (path) => (await session.call('statns', path)).size,
    async append(path, bytes, offset) {
      await writeFile(scratch, bytes);
      await unlocking(path, () => session.call('upload_offset', scratch, path, offset));
      await rm(scratch);
    },
    async readAt(path, offset, length) {
      const parts: Buffer[] = [];
      for (let done = 0; done < length; ) {
        const part = await session.call(
          'pread',
          path,
          Math.min(MAX_MESSAGE_BYTES, length - done),
          offset + done,
        );
        if (part.length === 0) break;
        parts.push(part);
        done += part.length;
      }
      return Buffer.concat(parts);
    },
    exists: (path) => session.call('is_file_opts', path, { followsymlinks: true }),
    run: (command) => session.call('command', command),
  };
}
