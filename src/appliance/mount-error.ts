import { refusal, TOO_NEW_ADVICE } from '../access/tolerate.js';
import { Hyper2kvmError } from '../errors/error.js';
import type { ApplianceSession } from './session.js';

/**
 * The kernel's messages about a filesystem with unknown features (xfs_sb.c, ext4/super.c,
 * btrfs/disk-io.c, f2fs/super.c). mount(8) itself only says "wrong fs type, bad option, bad superblock".
 */
const TOO_NEW =
  /\b(?:XFS|EXT4-fs|BTRFS|F2FS-fs|bcachefs)\b.*(?:unknown \S+ ?compatible\b.*features|unsupported optional features|unknown (?:incompat|compat_ro) features|unsupported features|Only pagesize)/;
/** More lines than one failed mount logs. */
const LINES = 40;

/**
 * Returns the error for a failed mount, using the appliance's kernel log. The log is cleared, so that a later
 * failure does not get this one's reason.
 */
export async function mountError(session: Pick<ApplianceSession, 'call'>, error: unknown): Promise<unknown> {
  if (!isRefusal(error)) return error;
  const line = (await kernelLog(session))
    .split('\n')
    .slice(-LINES)
    .find((text) => TOO_NEW.test(text));
  if (line === undefined) return error;
  return new Hyper2kvmError(
    'guest.filesystem-too-new',
    `the filesystem has features that the kernel of the appliance does not support (${shown(line)})`,
    { advice: TOO_NEW_ADVICE, cause: error },
  );
}

/** Removes the time and the appliance's name of the device, which is not the guest's. */
function shown(line: string): string {
  return line
    .replace(/^\[[^\]]*\]/, '')
    .replace(/ \((?:device )?[\w-]+\)/, '')
    .trim();
}

function isRefusal(error: unknown): boolean {
  return error instanceof Hyper2kvmError && error.code === 'guest.call-failed';
}

/** Empty if it cannot be read; the first error is then kept. */
async function kernelLog(session: Pick<ApplianceSession, 'call'>): Promise<string> {
  try {
    return await session.call('debug', 'sh', ['dmesg -c | tail -n 200']);
  } catch (error) {
    refusal(error);
    return '';
  }
}
