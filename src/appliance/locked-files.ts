import type { GuestReader } from '../access/guest-reader.js';
import { refusal } from '../access/tolerate.js';
import type { ApplianceSession } from './session.js';

/**
 * Runs `work`, which changes `path`. If it is refused and chattr(1)'s flags forbid it, on the path or on a
 * directory above, they are removed while it runs.
 */
export async function changingLocked(
  { session, reader }: { session: ApplianceSession; reader: GuestReader },
  path: string,
  work: () => Promise<unknown>,
): Promise<void> {
  try {
    await work();
  } catch (error) {
    refusal(error);
    const locked: { path: string; flags: string }[] = [];
    for (const place of [path, ...ancestors(path)]) {
      const flags = await locksOf(session, place);
      if (flags !== '') locked.push({ path: place, flags });
    }
    if (locked.length === 0) throw error;
    for (const { path: place, flags } of locked)
      await session.call('set_e2attrs', place, flags, { clear: true });
    await work();
    for (const { path: place, flags } of locked) {
      // A removed file has no flags.
      if ((await reader.lstat(place)) !== null) await session.call('set_e2attrs', place, flags);
    }
  }
}

/**
 * Returns those of the flags `i` and `a`, which prevent even root from changing a file; empty also on a
 * filesystem without flags.
 */
async function locksOf(session: ApplianceSession, path: string): Promise<string> {
  try {
    return (await session.call('get_e2attrs', path)).replace(/[^ai]/g, '');
  } catch (error) {
    refusal(error);
    return '';
  }
}

/** Returns the directories above, nearest first, without the root. */
function ancestors(path: string): string[] {
  const parent = path.slice(0, path.lastIndexOf('/'));
  return parent === '' ? [] : [parent, ...ancestors(parent)];
}
