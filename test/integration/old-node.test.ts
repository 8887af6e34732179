import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { Spool, until } from './support/daemon.js';

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
/**
 * Debian's own Node, as far as the program can tell: its loader must not come to the modules that would crash
 * there.
 */
const OLD = `data:text/javascript,Object.defineProperty(process.versions,'node',{value:'20.20.2'})`;

function startWithOldNode(args: readonly string[], temporary = process.env.TMPDIR) {
  const child = spawn(process.execPath, ['--import', OLD, CLI, ...args], {
    env: { ...process.env, TMPDIR: temporary },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const said = { out: '', err: '' };
  child.stdout.on('data', (chunk) => {
    said.out += chunk;
  });
  child.stderr.on('data', (chunk) => {
    said.err += chunk;
  });
  return { child, said };
}

it.each([
  [['--version'], 0, /^\d+\.\d+\.\d+$/m],
  [['inspect'], 2, /missing required argument/],
  [['list', '--config', '/nowhere.toml'], 2, /nowhere/],
])(
  'an old Node runs the command on the newer one that was brought: %j ends with %i',
  async (args, code, text) => {
    const { child, said } = startWithOldNode(args);
    await once(child, 'close');
    expect([child.exitCode, said.out + said.err]).toEqual([code, expect.stringMatching(text)]);
  },
);

it('a daemon started by an old Node ends on SIGTERM, and dies with it', async () => {
  const spool = await Spool.create();
  // What a killed daemon leaves there goes with the spool.
  const start = () => startWithOldNode(['daemon', '--config', spool.path('config.toml')], spool.directory);
  try {
    const stopped = start();
    await until('the daemon', 30, () => spool.status().then(Boolean, () => false));
    stopped.child.kill('SIGTERM');
    await once(stopped.child, 'close');
    expect(stopped.child.exitCode).toBe(0);

    const killed = start();
    await until('the daemon', 30, () => spool.status().then(Boolean, () => false));
    const { pid } = await spool.status();
    expect(readFileSync(`/proc/${pid}/status`, 'utf8')).toContain(`PPid:\t${killed.child.pid}\n`);
    killed.child.kill('SIGKILL');
    await once(killed.child, 'close');
    await expect.poll(() => spool.status().catch(() => 'gone'), { timeout: 10_000 }).toBe('gone');
  } finally {
    await spool.destroy();
  }
});
