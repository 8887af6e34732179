import { refusal, TOO_NEW_ADVICE } from '../access/tolerate.js';
import { Hyper2kvmError } from '../errors/error.js';
import type { ApplianceSession } from './session.js';

/**
 * The kernel's words for a filesystem with features that it does not know (xfs_sb.c, ext4/super.c,
 * btrfs/disk-io.c, f2fs/super.c). mount(8) itself only says "wrong fs type, bad option, bad superblock".
 */
const TOO_NEW =
  /\b(?:XFS|EXT4-fs|BTRFS|F2FS-fs|bcachefs)\b.*(?:unknown \S+ ?compatible\b.*features|unsupported optional features|unknown (?:incompat|compat_ro) features|unsupported features|Only pagesize)/;
/** More than one failed mount writes. */
const LINES = 40;

/**
 * What a failed mount means. The appliance's kernel log is asked for the reason, and emptied, so that the next
 * failure is not taken for this one.
 */
export async function mountError(
  session: Pick<ApplianceSession, 'call'>,
  device: string,
  error: unknown,
): Promise<unknown> {
  if (!isRefusal(error)) return error;
  const line = (await kernelLog(session))
    .split('\n')
    .slice(-LINES)
    .find((text) => TOO_NEW.test(text));
  if (line === undefined) return error;
  return new Hyper2kvmError(
    'guest.filesystem-too-new',
    `${device} has features that the kernel of the appliance does not know (${line.replace(/^\[[^\]]*\]\s*/, '').trim()})`,
    { advice: TOO_NEW_ADVICE, cause: error },
  );
}

function isRefusal(error: unknown): boolean {
  return error instanceof Hyper2kvmError && error.code === 'guest.call-failed';
}

/** Empty where it cannot be read: then the first error stands. */
async function kernelLog(session: Pick<ApplianceSession, 'call'>): Promise<string> {
  try {
    return await session.call('debug', 'sh', ['dmesg -c | tail -n 200']);
  } catch (error) {
    refusal(error);
    return '';
  }
}
