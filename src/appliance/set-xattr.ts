import { shellWord } from '../text/format.js';
import type { ApplianceSession } from './session.js';

/** Where the appliance has the guest's root mounted. */
const GUEST_ROOT = '/sysroot';

/**
 * Sets an extended attribute of the path itself, not of what a link leads to. libguestfs' own call passes the
 * value as a C string, so one with a zero byte inside is set by setfattr(1) of the appliance.
 */
export async function setXattr(
  session: ApplianceSession,
  path: string,
  name: string,
  value: Buffer,
): Promise<void> {
  if (!value.subarray(0, -1).includes(0)) return session.call('lsetxattr', name, value, path);
  const words = ['-h', '-n', name, '-v', `0x${value.toString('hex')}`, '--', `${GUEST_ROOT}${path}`];
  await session.call('debug', 'sh', [`setfattr ${words.map(shellWord).join(' ')}`]);
}
