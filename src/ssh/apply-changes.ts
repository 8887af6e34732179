import { posix } from 'node:path';
import type { ErrorCode } from '../errors/catalogue.js';
import { Hyper2kvmError } from '../errors/error.js';
import { canonicalJson } from '../text/canonical-json.js';
import { shellWord } from '../text/format.js';
import { lastLines } from '../text/lines.js';
import { applyScript, type Room } from './apply-script.js';
import { type Change, describeChange } from './changes.js';
import type { RemoteResult } from './connection.js';
import { locate } from './file-state.js';
import { restoreScript } from './restore-script.js';
import { BACKUPS, EXIT, temporaryName } from './script-parts.js';
import type { RemoteShell } from './shell.js';

/** For the entries of directories, and what else uses the filesystem in the meantime. */
const SPARE_BYTES = 1024 * 1024;

/**
 * Applies changes to the host, all or none, with a backup `id`. Rejects with `live.*`: nothing is changed then,
 * unless the code is `live.half` or the connection was lost.
 */
export async function applyChanges(
  shell: RemoteShell,
  changes: readonly Change[],
  { id, digest, base = BACKUPS }: { id: string; digest: string; base?: string },
): Promise<void> {
  const files = {
    manifest: Buffer.from(manifest(changes, id, digest)),
    restore: Buffer.from(restoreScript(changes, id)),
  };
  const rooms = await roomsOf(shell, changes, base);
  const { script, input } = applyScript(changes, { base, id, rooms, files });
  const result = await shell.run(script, { input });
  if (result.code !== 0) throw failureOf(result, { id, other: EXIT.undone });
}

/**
 * Puts a backup back. Rejects with `live.no-backup`, `live.not-restored`, and with `live.changed` if a file was
 * changed since: then nothing is put back. Returns the paths that were.
 */
export async function restoreBackup(
  shell: RemoteShell,
  { id, base = BACKUPS }: { id: string; base?: string },
): Promise<string[]> {
  const result = await shell.run(rollbackScript(base, id));
  if (result.code !== 0) throw failureOf(result, { id, other: EXIT.notRestored });
  return result.stdout
    .toString('utf8')
    .split('\n')
    .flatMap((line) => /^restored (.+)$/.exec(line)?.[1] ?? []);
}

/** A backup without its script was interrupted before anything else was done. */
const rollbackScript = (base: string, id: string) => `
base=${shellWord(base)}
backup=$base/${id}
if [ ! -d "$backup" ] || [ -L "$backup" ]; then
  ls -A -- "$base" 2>/dev/null >&2
  exit ${EXIT.noBackup}
fi
[ "$(stat -c '%a %u' -- "$base")" = '700 0' ] || { echo "$base" >&2; exit ${EXIT.notWritable}; }
exec 9< "$base" && flock -n 9 || exit ${EXIT.busy}
if [ ! -f "$backup/restore" ]; then
  rm -f -- "$backup"/[0-9]* "$backup/manifest.json" "$backup/restore.part" &&
    rm -f -- "$backup/unfinished" "$backup/done" "$backup/restored" && rmdir -- "$backup"
  exit
fi
trap '' HUP PIPE
sh "$backup/restore"
`;

function manifest(changes: readonly Change[], id: string, digest: string): string {
  const files = changes.map((change, number) => ({
    number,
    ...describeChange(change),
    temporary: temporaryName(change.path, id),
  }));
  const directories = [...new Set(changes.flatMap(({ missing }) => missing))];
  return `${canonicalJson({ version: 1, id, plan: digest, files, directories }, 2)}\n`;
}

/** Old and new files are there together until the end, and the backup too. */
async function roomsOf(shell: RemoteShell, changes: readonly Change[], base: string): Promise<Room[]> {
  const rooms = new Map<number, Room>();
  const add = (device: number, directory: string, bytes: number) => {
    const known = rooms.get(device) ?? { directory, bytes: SPARE_BYTES };
    rooms.set(device, { ...known, bytes: known.bytes + bytes });
  };
  const { device: backups } = await locate(shell, `${base}/x`, { follow: false });
  for (const { path, before, after, device, missing } of changes) {
    const directory = posix.dirname(missing[0] ?? path);
    if (after.type === 'file') add(device, directory, after.size);
    if (before.type === 'file') add(backups, posix.dirname(base), before.size);
  }
  return [...rooms.values()];
}

type Failure = { code: ErrorCode; says(detail: string, id: string): string };

const FAILURES: Readonly<Record<number, Failure>> = {
  [EXIT.changed]: {
    code: 'live.changed',
    says: (paths) => `changed on the host in the meantime: ${paths}`,
  },
  [EXIT.noSpace]: { code: 'live.no-space', says: (detail) => detail },
  [EXIT.notWritable]: { code: 'live.not-writable', says: (path) => `cannot be written on the host: ${path}` },
  [EXIT.unfinished]: {
    code: 'live.unfinished',
    says: (id) => `an earlier run was interrupted on this host; its backup is ${id}`,
  },
  [EXIT.busy]: { code: 'live.busy', says: () => 'another run of hyper2kvm is changing this host' },
  [EXIT.backupFailed]: {
    code: 'live.backup-failed',
    says: (path) => `no complete backup can be made: ${path}`,
  },
  [EXIT.unproven]: {
    code: 'live.unproven',
    says: (path) => `a new file differs from the plan when it is read back: ${path}`,
  },
  [EXIT.undone]: { code: 'live.undone', says: (path) => `a file could not be replaced: ${path}` },
  [EXIT.half]: {
    code: 'live.half',
    says: (path, id) =>
      `a file could not be replaced, and what was done before could not be undone: ${path}; the backup is ${id}`,
  },
  [EXIT.noBackup]: {
    code: 'live.no-backup',
    says: (ids) => (ids === '' ? 'the host has no backups' : `the host has these backups only: ${ids}`),
  },
  [EXIT.notRestored]: {
    code: 'live.not-restored',
    says: (detail, id) => `the backup ${id} could not be put back: ${detail}`,
  },
};

/** `other`: what a code that is not ours counts as. */
function failureOf(
  { code, stderr }: Pick<RemoteResult, 'code' | 'stderr'>,
  { id, other }: { id: string; other: number },
): Hyper2kvmError {
  const detail = lastLines(stderr);
  const known = FAILURES[code];
  if (known !== undefined) return new Hyper2kvmError(known.code, known.says(detail, id));
  const failure = FAILURES[other] as Failure;
  return new Hyper2kvmError(failure.code, failure.says(`exit code ${code}: ${detail}`, id));
}
