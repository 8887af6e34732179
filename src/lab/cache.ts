import { randomUUID } from 'node:crypto';
import { access, mkdir, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { asRoot } from './privileged.js';

/** `$HYPER2KVM_TEST_CACHE`, or `~/.cache/hyper2kvm-test`: base tarballs and built guests, outside of the repository. */
export function testCache(): string {
  return process.env.HYPER2KVM_TEST_CACHE ?? join(homedir(), '.cache', 'hyper2kvm-test');
}

/**
 * The path of `name` in the cache, made by `make` where it is missing. `make` gets a scratch directory on the cache's filesystem
 * and returns the path in it that is the entry: it appears under its name by one rename, so it is never half there.
 */
export async function cached(name: string, make: (scratch: string) => Promise<string>): Promise<string> {
  const target = join(testCache(), name);
  if (await exists(target)) return target;
  const scratch = join(testCache(), `.building-${randomUUID()}`);
  await mkdir(scratch, { recursive: true });
  try {
    const made = await make(scratch);
    await rename(made, target).catch(async (error: unknown) => {
      // Another run was faster: its entry is as good as this one.
      if (!(await exists(target))) throw error;
    });
    return target;
  } finally {
    await asRoot('rm', ['-rf', scratch]).catch(() => rm(scratch, { recursive: true, force: true }));
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
