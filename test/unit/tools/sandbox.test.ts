import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { run } from '../../../src/tools/run.js';
import { bubblewrapArguments, probeSandbox, sandboxPrefix } from '../../../src/tools/sandbox.js';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'h2k-sandbox-'));
  return () => rm(directory, { recursive: true });
});

test('a relative directory would be another one inside', () => {
  expect(() => bubblewrapArguments({ writable: ['work'] })).toThrow(/relative path/);
});

test('writable directories lie over the read-only root', () => {
  const args = bubblewrapArguments({ writable: ['/spool/work/1'], devices: ['/dev/kvm'] });
  expect(args.indexOf('--bind')).toBeGreaterThan(args.indexOf('--ro-bind'));
  expect(args.join(' ')).toContain('--bind /spool/work/1 /spool/work/1');
  expect(args.join(' ')).toContain('--dev-bind-try /dev/kvm /dev/kvm');
  expect(args).toContain('--unshare-net');
});

const { kind, reason } = await probeSandbox();
test('the probe says why not', () => expect(reason).not.toBe(''));

describe.runIf(kind === 'bubblewrap')('under bubblewrap', () => {
  const confined = async (script: string, writable: string[], okCodes: number[]) =>
    run('sh', ['-c', script], { wrapper: await sandboxPrefix({ writable }), okCodes });

  test('only the given directory can be written to', async () => {
    await confined(`echo in > ${directory}/in`, [directory], [0]);
    expect(await readFile(join(directory, 'in'), 'utf8')).toBe('in\n');
    for (const place of [tmpdir(), '/etc', '/']) {
      const { stderr } = await confined(`echo out > ${join(place, 'h2k-out')}`, [directory], [1, 2]);
      expect(stderr).toMatch(/Read-only|Permission|nonexistent|cannot create/i);
    }
    const { stderr } = await confined(
      `mount -o remount,rw / && echo out > /h2k-out`,
      [directory],
      [1, 2, 32],
    );
    expect(stderr).not.toBe('');
  });

  test('no network, not even of this host', async () => {
    let knocks = 0;
    const server = createServer((socket) => {
      knocks += 1;
      socket.destroy();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const knock = `const s = require('net').connect(${port}, '127.0.0.1'); s.on('connect', () => process.exit(0)); s.on('error', () => process.exit(3))`;
    await writeFile(join(directory, 'knock.cjs'), knock);
    await run(process.execPath, [join(directory, 'knock.cjs')]);
    const { code } = await run(process.execPath, [join(directory, 'knock.cjs')], {
      wrapper: await sandboxPrefix({ writable: [] }),
      okCodes: [3],
    });
    server.close();
    expect({ code, knocks }).toEqual({ code: 3, knocks: 1 });
  });

  test('it sees no process of the host', async () => {
    const { stdout } = await confined('ls /proc | grep -c "^[0-9]*$"', [], [0]);
    expect(Number(stdout.toString())).toBeLessThan(8);
  });

  test('a killed program is called killed, as without the sandbox', async () => {
    await expect(confined('kill -9 $$', [], [0])).rejects.toMatchObject({ code: 'tool.killed' });
  });

  test('abort ends everything inside', async () => {
    const abort = new AbortController();
    const running = run('sh', ['-c', `echo $$ > ${directory}/started; sleep 60`], {
      wrapper: await sandboxPrefix({ writable: [directory] }),
      signal: abort.signal,
    });
    await expect
      .poll(() => readFile(join(directory, 'started'), 'utf8').catch(() => ''), { timeout: 10_000 })
      .not.toBe('');
    abort.abort(new Error('enough'));
    await expect(running).rejects.toThrow('enough');
  });
});
