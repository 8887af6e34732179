import type { GuestReader } from '../../../access/guest-reader.js';
import type { ErrorCode } from '../../../errors/catalogue.js';
import { Hyper2kvmError } from '../../../errors/error.js';
import { isDirty, readBaseBlock } from '../../../guest/registry/base-block.js';
import { type Hive, openHive } from '../../../guest/registry/hive.js';
import { type RecoveredHive, recoverHive } from '../../../guest/registry/recover.js';
import type { WindowsPaths } from './paths.js';

/** A hive of the guest as Windows will see it at its next start. */
export interface GuestHive {
  /** As it is spelled in the guest. */
  path: string;
  hive: Hive;
  /** What its logs added; null if it was closed. */
  recovered: RecoveredHive['recovered'];
}

const MIB = 1024 * 1024;
/** Real ones: SYSTEM 8 to 16 MiB, SOFTWARE about 100, a boot store 32 KiB. */
export const MAX_HIVE_BYTES = { system: 256 * MIB, software: 512 * MIB, bootStore: 16 * MIB } as const;
/** Windows writes a log into the hive before it gets larger. */
const MAX_LOG_BYTES = 128 * MIB;

/** In the order in which Windows uses them; before Vista there is one, `.LOG`. */
const LOG_SUFFIXES = ['.LOG1', '.LOG2', '.LOG'];

/**
 * Reads the hive at `path` with what its logs add to it. Throws `guest.hive-*` naming the hive,
 * `inspect.hive-unreadable` if it is not a file of a plausible size, or is reached through a link: FIX writes to it.
 */
export async function readHive(
  reader: GuestReader,
  paths: WindowsPaths,
  path: string,
  mostBytes: number,
): Promise<GuestHive> {
  await refuseLinks(reader, path);
  const file = await readLimited(reader, path, mostBytes);
  const base = naming(path, () => readBaseBlock(file));
  const logs = isDirty(base) ? await readLogs(reader, paths, path) : [];
  return naming(path, () => {
    const { bytes, recovered } = recoverHive(file, logs);
    return { path, hive: openHive(bytes), recovered };
  });
}

const HIVE_CODES: ReadonlySet<string> = new Set([
  'guest.hive-corrupt',
  'guest.hive-dirty',
  'guest.hive-unsupported',
] satisfies ErrorCode[]);

/** Returns the result of `work`; an error of a hive names the hive that it is in. */
export function naming<Result>(path: string, work: () => Result): Result {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof Hyper2kvmError) || !HIVE_CODES.has(error.code)) throw error;
    const { code, message, advice } = error;
    throw Hyper2kvmError.of(code, `${path}: ${message}`, { advice, cause: error });
  }
}

async function readLogs(reader: GuestReader, paths: WindowsPaths, path: string): Promise<Buffer[]> {
  const logs: Buffer[] = [];
  for (const suffix of LOG_SUFFIXES) {
    const log = await paths.find(`${path}${suffix}`);
    if (log !== null) logs.push(await readLimited(reader, log, MAX_LOG_BYTES));
  }
  return logs;
}

/** A junction of Windows is a link here, too. */
async function refuseLinks(reader: GuestReader, path: string): Promise<void> {
  const names = path.split('/').slice(1);
  for (const index of names.keys()) {
    const part = `/${names.slice(0, index + 1).join('/')}`;
    if ((await reader.lstat(part))?.type === 'symlink')
      throw new Hyper2kvmError('inspect.hive-unreadable', `${path} is reached through the link ${part}`);
  }
}

async function readLimited(reader: GuestReader, path: string, mostBytes: number): Promise<Buffer> {
  const stat = await reader.stat(path);
  if (stat?.type !== 'file' || stat.size > mostBytes)
    throw new Hyper2kvmError(
      'inspect.hive-unreadable',
      stat?.type === 'file'
        ? `${path} has ${stat.size} bytes: a registry file of Windows is smaller`
        : `${path} is not a regular file`,
    );
  return reader.read(path);
}
