import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { installation } from '../../../src/tools/own-programs.js';
import { run } from '../../../src/tools/run.js';
import {
  bubblewrapArguments,
  type Confinement,
  probeSandbox,
  sandboxPrefix,
} from '../../../src/tools/sandbox.js';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'h2k-sandbox-'));
  return () => rm(directory, { recursive: true });
});

test('a relative directory would be another one inside', () => {
  expect(() => bubblewrapArguments({ writable: ['work'] })).toThrow(/relative path/);
});

test('of two paths the inner one counts, whichever may be written to', () => {
  const args = bubblewrapArguments({
    readable: ['/spool/work/1/source', '/srv'],
    writable: ['/spool/work/1', '/srv/out'],
    devices: ['/dev/kvm'],
  }).join(' ');
  expect(args).toMatch(/--bind \/spool\/work\/1 .*--ro-bind \/spool\/work\/1\/source /);
  expect(args).toMatch(/--ro-bind \/srv .*--bind \/srv\/out /);
  expect(args).toContain('--dev-bind-try /dev/kvm /dev/kvm');
  expect(args).toContain('--unshare-net');
  expect(args).not.toContain('bind / /');
});

test('a program in the root directory does not show all of it', () => {
  expect(installation('/qemu-img')).toEqual(['/qemu-img']);
});

const { kind, reason } = await probeSandbox();
test('the probe says why not', () => expect(reason).not.toBe(''));

describe.runIf(kind === 'bubblewrap')('under bubblewrap', () => {
  const confined = async (script: string, writable: string[], okCodes: number[]) =>
    run('sh', ['-c', script], { wrapper: await sandboxPrefix({ writable }), okCodes });
  const seen = async (script: string, view: Partial<Confinement> = {}) => {
    const wrapper = await sandboxPrefix({ writable: [], ...view });
    const { stdout } = await run('sh', ['-c', script], { wrapper, okCodes: [0, 1, 2] });
    return stdout.toString().trim().split('\n');
  };

  test.each([[false], [true]])(
    'of the host it sees programs and what it is given (temporary: %s)',
    async (temporary) => {
      const given = join(directory, 'given');
      await mkdir(given, { recursive: true });
      await writeFile(join(given, 'disk'), 'bytes');
      await writeFile(join(directory, 'other'), 'of another job');
      const view = { readable: [given], temporary };
      expect(await seen(`cat ${given}/disk`, view)).toEqual(['bytes']);
      expect(await seen(`ls ${directory}`, view)).toEqual(['given']);
      for (const place of [
        '/home',
        '/root',
        '/run',
        '/srv',
        '/var/lib/hyper2kvm',
        '/var/spool',
        '/sys',
        '/boot',
      ])
        expect(await seen(`ls -A ${place} 2>/dev/null`, view), place).toEqual(['']);
      expect(await seen('ls /proc/1/root/home 2>/dev/null', view)).toEqual(['']);
    },
  );

  test('no password, also for root, and nothing else in /etc that is not for everybody', async () => {
    const hidden =
      'for f in $(find /etc -type f); do [ -s $f ] || continue; case $(stat -c %a $f) in *[4567]) ;; *) echo $f;; esac; done';
    for (const temporary of [false, true]) {
      expect(await seen('cat /etc/shadow 2>/dev/null', { temporary })).toEqual(['']);
      expect(await seen(hidden, { temporary })).toEqual(['']);
    }
    if (process.geteuid?.() === 0)
      expect(await seen('cat /etc/shadow', { readable: ['/etc/shadow'] })).not.toEqual(['']);
  });

  test.each([[false], [true]])('no socket of the host can be reached (temporary: %s)', async (temporary) => {
    const place = await mkdtemp(join(tmpdir(), 'h2k-socket-'));
    let knocks = 0;
    const server = createServer((socket) => {
      knocks += 1;
      socket.end();
    });
    const listen = (path: string) => new Promise<void>((resolve) => server.listen(path, resolve));
    await listen(join(place, 'socket'));
    const knock = `const s = require('net').connect('${place}/socket'); s.on('connect', () => process.exit(0)); s.on('error', () => process.exit(3))`;
    const asNode = async (readable: string[]) => {
      const wrapper = await sandboxPrefix({
        readable: [process.execPath, ...readable],
        writable: [],
        temporary,
      });
      return run(process.execPath, ['-e', knock], { wrapper, okCodes: [0, 3] });
    };
    expect((await asNode([])).code).toBe(3);
    expect(knocks).toBe(0);
    // So the test can fail.
    expect((await asNode([place])).code).toBe(0);
    server.close();
    await rm(place, { recursive: true });
  });

  test('a program that the search path has elsewhere is the one that runs', async () => {
    const programs = await mkdtemp(join(tmpdir(), 'h2k-programs-'));
    await writeFile(join(programs, 'qemu-img'), '#!/bin/sh\necho an operator’s own\n', { mode: 0o755 });
    vi.stubEnv('PATH', `${programs}:${process.env.PATH}`);
    try {
      expect(await seen('qemu-img')).toEqual(['an operator’s own']);
    } finally {
      vi.unstubAllEnvs();
      await rm(programs, { recursive: true });
    }
  });

  test('an operator’s own installation is seen with its firmware and libraries, by links and by name', async () => {
    const place = await mkdtemp(join(tmpdir(), 'h2k-programs-'));
    const at = (...names: string[]) => join(place, ...names);
    // As QEMU finds its own files: from where it really is.
    const program = 'cd "$(dirname "$(readlink -f "$0")")" && cat ../share/qemu/bios ../lib64/*.so';
    for (const name of ['store', 'named']) {
      for (const inside of ['bin', 'share/qemu', 'lib64']) await mkdir(at(name, inside), { recursive: true });
      await writeFile(at(name, 'bin', 'qemu'), `#!/bin/sh\n${program}\n`, { mode: 0o755 });
      await writeFile(at(name, 'share/qemu/bios'), `${name}’s firmware\n`);
      await writeFile(at(name, 'lib64/block.so'), `${name}’s library\n`);
      await writeFile(at(name, 'secret'), 'not of the installation');
    }
    for (const name of ['path', 'middle']) await mkdir(at(name));
    await symlink('../middle/current', at('path', 'qemu-img'));
    await symlink(at('store', 'bin', 'qemu'), at('middle', 'current'));
    vi.stubEnv('PATH', `${at('path')}:${process.env.PATH}`);
    vi.stubEnv('LIBGUESTFS_HV', at('named', 'bin', 'qemu'));
    try {
      expect(await seen('qemu-img')).toEqual(['store’s firmware', 'store’s library']);
      expect(await seen('$LIBGUESTFS_HV')).toEqual(['named’s firmware', 'named’s library']);
      expect(await seen(`ls ${at('store')} ${at('named')}`)).not.toContain('secret');
    } finally {
      vi.unstubAllEnvs();
      await rm(place, { recursive: true });
    }
  });

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
      wrapper: await sandboxPrefix({ readable: [process.execPath, directory], writable: [] }),
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
