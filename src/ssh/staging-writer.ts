import { createHash } from 'node:crypto';
import { constants } from 'node:os';
import type { GuestReader, GuestStat } from '../access/guest-reader.js';
import type { GuestWriter } from '../access/guest-writer.js';
import { Hyper2kvmError } from '../errors/error.js';
import { shellWord } from '../text/format.js';
import { type Change, changesSomething, type FileState, type NewContent } from './changes.js';
import { type Located, locate, sha256In } from './file-state.js';
import { type RemoteShell, refusedBy } from './shell.js';

/** A writer that only collects what would be changed. */
export interface StagingWriter extends GuestWriter {
  /** In the order of their first change. */
  changes(): Change[];
}

/**
 * Collects changes to a running host, of which it only reads: the host has none of them until they are applied
 * together. Files that are changed are read with their new content, so that proofs see what will be there.
 */
export function stagingWriter(
  shell: RemoteShell,
  reader: GuestReader,
  apply: (changes: readonly Change[]) => Promise<void>,
): StagingWriter {
  let staged = new Map<string, Change>();

  /** Stages what will be at a path; what was there when it was first looked at stays the condition. */
  async function stage(
    path: string,
    follow: boolean,
    after: (now: Located['state']) => Change['after'] | Promise<Change['after']>,
  ): Promise<void> {
    const known = staged.get(path);
    if (known !== undefined) {
      staged.set(path, { ...known, after: await after(stateAfter(known)) });
      return;
    }
    const found = await locate(shell, path, { follow });
    const twin = [...staged.values()].find((change) => change.path === found.path);
    if (twin !== undefined) throw refused(`${path} and another path are the same file, ${found.path}`);
    if (found.state.type === 'other') throw refused(`${found.path} is not a file`);
    const { state: before, ...place } = found;
    staged.set(path, { ...place, before, after: await after(before) });
  }

  async function contentOf({ path, after }: Change): Promise<Buffer> {
    if (after.type !== 'file') throw refused(`${path} is not a file after the plan`, constants.errno.ENOENT);
    const { content } = after;
    if (content.kind === 'bytes') return content.bytes;
    if (content.kind === 'copy') return reader.read(content.from);
    return Buffer.concat([await reader.read(path), content.bytes]);
  }

  async function read(path: string): Promise<Buffer> {
    const change = staged.get(path);
    return change === undefined ? reader.read(path) : contentOf(change);
  }

  async function statOf(path: string, call: 'stat' | 'lstat'): Promise<GuestStat | null> {
    const change = staged.get(path);
    if (change === undefined) return reader[call](path);
    const state = stateAfter(change);
    if (state.type === 'absent') return null;
    const node = { device: change.device, inode: 0 };
    return state.type === 'symlink'
      ? { type: 'symlink', mode: 0o777, uid: 0, gid: 0, size: state.target.length, ...node }
      : { type: 'file', mode: state.mode, uid: state.uid, gid: state.gid, size: state.size, ...node };
  }

  return {
    ...reader,
    stat: (path) => statOf(path, 'stat'),
    lstat: (path) => statOf(path, 'lstat'),
    read,
    async readAt(path, offset, length) {
      const change = staged.get(path);
      if (change === undefined) return reader.readAt(path, offset, length);
      const { after, before } = change;
      // Of an initramfs only the end is asked for, which need not be transferred.
      const start = before.type === 'file' ? before.size : 0;
      if (after.type === 'file' && after.content.kind === 'appended' && offset >= start)
        return after.content.bytes.subarray(offset - start, offset - start + length);
      return (await contentOf(change)).subarray(offset, offset + length);
    },
    rewrite: (path, content) =>
      stage(path, true, (now) => {
        if (now.type !== 'file') throw refused(`${path} does not exist`, constants.errno.ENOENT);
        return fileOf({ kind: 'bytes', bytes: content }, content, now.mode);
      }),
    create: (path, content, mode) =>
      stage(path, false, (now) => {
        if (now.type === 'absent') return fileOf({ kind: 'bytes', bytes: content }, content, mode);
        throw new Hyper2kvmError(
          'fix.unexpected-file',
          `${path} exists in the guest, but INSPECT did not see it`,
        );
      }),
    remove: (path) => stage(path, false, () => ({ type: 'absent' })),
    symlink: (path, target) => stage(path, false, () => ({ type: 'symlink', target })),
    copy: (from, path) =>
      stage(path, false, async () => {
        const { state, path: real } = await locate(shell, from, { follow: true });
        if (state.type !== 'file') throw refused(`${from} is not a file`, constants.errno.ENOENT);
        const { sha256, size, mode } = state;
        return { type: 'file', sha256, size, mode, content: { kind: 'copy', from: real } };
      }),
    append: (path, bytes, offset) =>
      stage(path, true, async (now) => {
        if (now.type !== 'file' || now.size !== offset)
          throw new Hyper2kvmError('fix.initramfs-changed', `${path} is not the file that INSPECT listed`);
        const change = staged.get(path);
        const content = appended(change, bytes);
        if (content.kind === 'bytes') return fileOf(content, content.bytes, now.mode);
        const script = `f=$(readlink -f -- ${shellWord(path)}) && { cat -- "$f" && cat; } | sha256sum`;
        const result = await shell.run(script, { input: content.bytes });
        if (result.code !== 0) throw refusedBy(result);
        const sha256 = sha256In(result.stdout.toString('latin1'), path);
        return { type: 'file', sha256, size: offset + bytes.length, mode: now.mode, content };
      }),
    editHive: () => unsupported('the registry'),
    setXattr: () => unsupported('extended attributes'),
    getXattr: () => unsupported('extended attributes'),
    run: () => unsupported('programs of the guest'),
    async sync() {
      const changes = [...staged.values()].filter(changesSomething);
      if (changes.length > 0) await apply(changes);
      staged = new Map();
    },
    changes: () => [...staged.values()].filter(changesSomething),
  };
}

function appended(change: Change | undefined, bytes: Buffer): Exclude<NewContent, { kind: 'copy' }> {
  if (change === undefined) return { kind: 'appended', bytes };
  const content = change.after.type === 'file' ? change.after.content : null;
  if (content === null || content.kind === 'copy') throw refused(`${change.path} cannot be appended to`);
  return { kind: content.kind, bytes: Buffer.concat([content.bytes, bytes]) };
}

const fileOf = (content: NewContent, bytes: Buffer, mode: number): Change['after'] => ({
  type: 'file',
  sha256: createHash('sha256').update(bytes).digest('hex'),
  size: bytes.length,
  mode,
  content,
});

/** What is at the path after the change. */
function stateAfter({ before, after }: Change): FileState {
  if (after.type !== 'file') return after;
  const { sha256, size, mode } = after;
  return before.type === 'file'
    ? { ...before, sha256, size }
    : { type: 'file', sha256, size, mode, uid: 0, gid: 0 };
}

const refused = (message: string, errno?: number) =>
  new Hyper2kvmError('guest.call-failed', message, errno === undefined ? {} : { errno });

async function unsupported(what: string): Promise<never> {
  throw refused(`${what}: not on a guest that runs`);
}
