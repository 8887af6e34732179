import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { startQemu } from '../../../src/machine/qemu.js';
import { startNodeChild } from '../../../src/tools/node-child.js';
import { run } from '../../../src/tools/run.js';
import { probeSandbox } from '../../../src/tools/sandbox.js';

const scratch = mkdtempSync(join(tmpdir(), 'h2k-environment-'));
afterAll(() => rmSync(scratch, { recursive: true }));

const GIVEN = {
  NOTIFY_SOCKET: '/run/systemd/notify',
  WATCHDOG_PID: String(process.pid),
  WATCHDOG_USEC: '60000000',
};
const NAMES = 'env | cut -d= -f1 | tr "\\n" " "';
/** Of the names that a program sees those in question, and one that everybody gets. */
const seen = (names: string) => names.match(/\b(NOTIFY_SOCKET|WATCHDOG_\w+|H2K_WITNESS)\b/g)?.sort() ?? [];

describe('no program that is started here can speak for the service', () => {
  beforeEach(() => {
    for (const [name, value] of Object.entries(GIVEN)) vi.stubEnv(name, value);
    vi.stubEnv('H2K_WITNESS', 'yes');
  });
  afterEach(() => void vi.unstubAllEnvs());

  test('qemu-img, programs that unpack, commands', async () => {
    const { stdout } = await run('sh', ['-c', NAMES]);
    expect(seen(stdout.toString())).toEqual(['H2K_WITNESS']);
  });

  test('the QEMU of a boot test', async () => {
    const program = join(scratch, 'qemu');
    writeFileSync(program, `#!/bin/sh\n([ -e /run ] || printf 'no /run '; ${NAMES}) >&2\nexit 1\n`, {
      mode: 0o755,
    });
    const started = startQemu({
      args: [],
      program,
      readable: [scratch],
      signal: AbortSignal.timeout(20_000),
    });
    const message = await started.then(
      () => 'started',
      (error: Error) => error.message,
    );
    expect(seen(message)).toEqual(['H2K_WITNESS']);
    // The socket is in there.
    if ((await probeSandbox()).kind === 'bubblewrap') expect(message).toContain('no /run');
  });

  test('the process that libguestfs and its QEMU run in', async () => {
    const module = join(scratch, 'child.mjs');
    writeFileSync(module, `console.error(Object.keys(process.env).join(' '));`);
    const child = startNodeChild(module, { env: {}, fileBytes: 1024 ** 2 });
    await child.ended;
    expect(seen(child.stderr())).toEqual(['H2K_WITNESS']);
  });
});
