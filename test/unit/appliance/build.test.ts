import {
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { buildAppliance } from '../../../src/appliance/build.js';

const signal = new AbortController().signal;
const directories: string[] = [];
afterEach(() => {
  vi.unstubAllEnvs();
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true });
});

function directory(): string {
  const made = mkdtempSync(join(tmpdir(), 'h2k-appliance-'));
  directories.push(made);
  return made;
}

const scratch = () => join(directory(), 'supermin');

describe('buildAppliance', () => {
  it('takes the appliance that LIBGUESTFS_PATH names as it is', async () => {
    const fixed = directory();
    writeFileSync(join(fixed, 'README.fixed'), '');
    vi.stubEnv('LIBGUESTFS_PATH', `${directory()}:${fixed}`);
    expect(await buildAppliance(directory(), scratch(), signal)).toBe(fixed);
  });

  it('says what is missing', async () => {
    vi.stubEnv('LIBGUESTFS_PATH', directory());
    await expect(buildAppliance(directory(), scratch(), signal)).rejects.toMatchObject({
      code: 'guest.launch-failed',
    });
  });

  it('leaves none of supermin’s temporary files behind when it is cancelled', async () => {
    const parts = directory();
    mkdirSync(join(parts, 'supermin.d'));
    vi.stubEnv('LIBGUESTFS_PATH', parts);
    const programs = directory();
    const script = '#!/bin/sh\nmkdir "$TMPDIR/supermin1.tmpdir"\n: > "$TMPDIR/started"\nexec sleep 60\n';
    writeFileSync(join(programs, 'supermin'), script, { mode: 0o755 });
    vi.stubEnv('PATH', `${programs}:${process.env.PATH}`);
    const [cache, temporary, own] = [directory(), directory(), scratch()];
    vi.stubEnv('TMPDIR', temporary);
    const cancel = new AbortController();
    const built = buildAppliance(cache, own, cancel.signal);
    void vi.waitUntil(() => existsSync(join(own, 'started')), { timeout: 20_000 }).then(() => cancel.abort());
    await expect(built).rejects.toMatchObject({ name: 'AbortError' });
    expect(existsSync(own)).toBe(false);
    expect(readdirSync(temporary)).toEqual([]);
  });

  // Only root can give a directory to somebody else.
  it.runIf(process.geteuid?.() === 0)('uses no cache that another user has made under its name', async () => {
    const parts = directory();
    mkdirSync(join(parts, 'supermin.d'));
    vi.stubEnv('LIBGUESTFS_PATH', parts);
    const name = `.guestfs-${process.geteuid?.()}`;
    const foreign = directory();
    mkdirSync(join(foreign, name));
    chownSync(join(foreign, name), 64_101, 64_101);
    const linked = directory();
    symlinkSync(parts, join(linked, name));
    for (const cache of [foreign, linked])
      await expect(buildAppliance(cache, scratch(), signal)).rejects.toMatchObject({
        code: 'guest.launch-failed',
        message: expect.stringContaining('does not belong to this user alone'),
      });
  });
});
