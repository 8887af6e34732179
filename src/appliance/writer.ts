import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { GuestReader } from '../access/guest-reader.js';
import type { GuestWriter } from '../access/guest-writer.js';
import { Hyper2kvmError } from '../errors/error.js';
import { editHive } from './hive-editor.js';
import { changingLocked } from './locked-files.js';
import { MAX_MESSAGE_BYTES } from './reader.js';
import { labelNew } from './selinux-labels.js';
import type { ApplianceSession } from './session.js';
import { setXattr } from './set-xattr.js';

/** Changes the guest's filesystems, which are mounted writable in the appliance. */
export function applianceWriter(
  session: ApplianceSession,
  reader: GuestReader,
  { workDirectory, selinux }: { workDirectory: string; selinux: boolean },
): GuestWriter {
  const scratch = join(workDirectory, 'transfer.part');
  const unlocked = (path: string, work: () => Promise<unknown>) =>
    changingLocked({ session, reader }, path, work);
  const label = async (path: string) => {
    if (selinux) await labelNew(session, writer, path);
  };

  async function withScratch(bytes: Buffer, work: () => Promise<unknown>): Promise<void> {
    await writeFile(scratch, bytes);
    try {
      await work();
    } finally {
      await rm(scratch, { force: true });
    }
  }

  function put(path: string, content: Buffer): Promise<void> {
    if (content.length <= MAX_MESSAGE_BYTES) return session.call('write', path, content);
    return withScratch(content, () => session.call('upload', scratch, path));
  }

  async function append(path: string, bytes: Buffer, offset: number): Promise<void> {
    if (bytes.length > MAX_MESSAGE_BYTES)
      return withScratch(bytes, () => session.call('upload_offset', scratch, path, offset));
    for (let done = 0; done < bytes.length; )
      done += await session.call('pwrite', path, bytes.subarray(done), offset + done);
  }

  async function makeParents(path: string): Promise<void> {
    const parent = path.slice(0, path.lastIndexOf('/'));
    if (parent === '' || (await reader.stat(parent))?.type === 'directory') return;
    await makeParents(parent);
    await session.call('mkdir_p', parent);
    await label(parent);
  }

  const writer: GuestWriter = {
    ...reader,
    rewrite: (path, content) => unlocked(path, () => put(path, content)),
    async create(path, content, mode) {
      if ((await reader.lstat(path)) !== null)
        throw new Hyper2kvmError(
          'fix.unexpected-file',
          `${path} exists in the guest, but INSPECT did not see it`,
        );
      await unlocked(path, async () => {
        await makeParents(path);
        await put(path, content);
      });
      await session.call('chmod', mode & 0o7777, path);
      await label(path);
    },
    remove: (path) => unlocked(path, () => session.call('rm_f', path)),
    async symlink(path, target) {
      await unlocked(path, async () => {
        await makeParents(path);
        await session.call('ln_sf', target, path);
      });
      await label(path);
    },
    async copy(from, path) {
      await unlocked(path, async () => {
        await makeParents(path);
        await session.call('cp', from, path);
      });
      await label(path);
    },
    append: (path, bytes, offset) => unlocked(path, () => append(path, bytes, offset)),
    editHive: (path, edits) =>
      editHive({ session, reader, rewrite: (file, content) => writer.rewrite(file, content) }, path, edits),
    setXattr: (path, name, value) => setXattr(session, path, name, value),
    getXattr: (path, name) => session.call('lgetxattr', path, name),
    run: (command) => session.call('command', command),
    sync: () => session.call('sync'),
  };
  return writer;
}
