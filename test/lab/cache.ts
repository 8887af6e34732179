import { randomUUID } from 'node:crypto';
import { appendFile, mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isErrorCode } from '#hyper2kvm/errors/errno.js';
import { exists } from '#hyper2kvm/files/exists.js';
import { asRoot } from './privileged.ts';

/** Where `cached` notes what it made: a line of JSON for each entry, see `Made`. */
export const MADE_FILE = 'HYPER2KVM_TEST_MADE';
const LOCK_POLL_MILLISECONDS = 200;

/** An entry of the cache that was made, for the report at the end of a run. */
export interface Made {
  name: string;
  seconds: number;
}

/**
 * `$HYPER2KVM_TEST_CACHE`, or `~/.cache/hyper2kvm-test`: base tarballs and built guests, outside of the
 * repository.
 */
export function testCache(): string {
  return process.env.HYPER2KVM_TEST_CACHE ?? join(homedir(), '.cache', 'hyper2kvm-test');
}

/**
 * The path of `name` in the cache, made by `make` where it is missing. `make` gets a scratch directory on the
 * cache's filesystem and returns the path in it that is the entry: it appears under its name by one rename,
 * so it is never half there. Who asks for an entry that another process is making waits for it.
 */
export async function cached(name: string, make: (scratch: string) => Promise<string>): Promise<string> {
  const target = join(testCache(), name);
  if (await exists(target)) return target;
  await mkdir(testCache(), { recursive: true });
  const unlock = await lock(`${target}.lock`);
  try {
    if (await exists(target)) return target;
    const started = performance.now();
    const scratch = join(testCache(), `.building-${randomUUID()}`);
    await mkdir(scratch);
    try {
      await rename(await make(scratch), target);
    } finally {
      await asRoot('rm', ['-rf', scratch]).catch(() => rm(scratch, { recursive: true, force: true }));
    }
    await note({ name, seconds: (performance.now() - started) / 1000 });
    return target;
  } finally {
    await unlock();
  }
}

async function note(made: Made): Promise<void> {
  const file = process.env[MADE_FILE];
  if (file !== undefined) await appendFile(file, `${JSON.stringify(made)}\n`);
}

/** Holds `path` as a lock file with this process' id in it; one whose process is gone is taken over. */
async function lock(path: string): Promise<() => Promise<void>> {
  for (;;) {
    try {
      const file = await open(path, 'wx');
      await file.writeFile(`${process.pid}\n`);
      await file.close();
      return () => rm(path, { force: true });
    } catch (error) {
      if (!isErrorCode(error, 'EEXIST')) throw error;
    }
    if (await isAbandoned(path)) await rm(path, { force: true });
    else await sleep(LOCK_POLL_MILLISECONDS);
  }
}

async function isAbandoned(path: string): Promise<boolean> {
  const pid = Number.parseInt(await readFile(path, 'utf8').catch(() => ''), 10);
  // Empty: it is being written, or its process died in between; the next look tells, for a live one fills it
  // at once.
  if (Number.isNaN(pid)) {
    await sleep(LOCK_POLL_MILLISECONDS);
    return (await readFile(path, 'utf8').catch(() => 'gone')) === '';
  }
  return !(await exists(`/proc/${pid}`));
}
