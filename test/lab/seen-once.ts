import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isErrorCode } from '#hyper2kvm/errors/errno.js';
import { sha256File } from '#hyper2kvm/files/digest.js';
import { qemuVersion } from '#hyper2kvm/tools/versions.js';
import { testCache } from './cache.ts';

const MACHINE = fileURLToPath(new URL('boot.ts', import.meta.url));

/**
 * What `look` tells of an unchanged guest, looked at once for each build of the guest (`key`, its name in the
 * cache), each version of QEMU and of the lab's machine (boot.ts): nothing of the product has a part in it,
 * so no change of the product can alter it.
 */
export async function seenOnce<T>(key: string, what: string, look: () => Promise<T>): Promise<T> {
  const machine = await sha256File(MACHINE);
  const file = join(testCache(), 'seen', key, `${what}-${machine.slice(0, 16)}.json`);
  const qemu = await qemuVersion('qemu-system-x86_64', AbortSignal.timeout(60_000));
  const known = await read<T>(file);
  if (known !== null && known.qemu === qemu) return known.value;
  const value = await look();
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, `${JSON.stringify({ qemu, value }, null, 2)}\n`);
  return value;
}

async function read<T>(file: string): Promise<{ qemu: string; value: T } | null> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as { qemu: string; value: T };
  } catch (error) {
    if (isErrorCode(error, 'ENOENT')) return null;
    throw error;
  }
}
