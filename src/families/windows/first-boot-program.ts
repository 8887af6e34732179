import { createHash } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { isErrorCode } from '../../errors/errno.js';
import { readSmallFile } from '../../files/small-file.js';
import type { WindowsIdentity } from '../../model/identity.js';
import type { HostProgram } from '../base/host-files.js';

const MAX_BYTES = 1024 * 1024;
const MACHINES: Readonly<Record<string, string>> = { i386: 'i686', x86_64: 'x86_64' };

/**
 * Returns the first-boot program for a Windows guest, which first-boot/build.sh makes from C;
 * null if this hyper2kvm was built without.
 */
export async function firstBootProgram({
  architecture,
}: Pick<WindowsIdentity, 'architecture'>): Promise<HostProgram | null> {
  const machine = MACHINES[architecture];
  if (machine === undefined) return null;
  const source = fileURLToPath(new URL(`../../first-boot/${machine}/h2kfirst.exe`, import.meta.url));
  try {
    const content = await readSmallFile(source, MAX_BYTES);
    return { source, size: content.length, sha256: createHash('sha256').update(content).digest('hex') };
  } catch (error) {
    if (isErrorCode(error, 'ENOENT')) return null;
    throw error;
  }
}
