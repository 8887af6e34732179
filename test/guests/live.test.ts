import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FIXERS } from '#hyper2kvm/families/linux/fixers.js';
import type { Plan } from '#hyper2kvm/operations/plan.js';
import { run } from '#hyper2kvm/tools/run.js';
import { cli, type Ended } from '../integration/support/cli.ts';
import { buildGuest } from '../lab/guest.ts';
import { LIVE_RECIPE, type RunningHost, startHost } from '../lab/running-host.ts';

/** A guest of VMware's that is prepared while it runs: SSH, sudo and the disk are real. */
let directory = '';
let disk = '';
let host: RunningHost;

beforeAll(async () => {
  if (process.getuid?.() !== 0) return;
  directory = await mkdtemp(join(tmpdir(), 'h2k-live-'));
  disk = join(directory, 'disk.raw');
  await run('cp', ['--sparse=always', (await buildGuest(LIVE_RECIPE)).image, disk]);
  host = await startHost(LIVE_RECIPE, disk, directory);
  await host.sh('chmod 640 /etc/fstab && chown 1:2 /etc/fstab');
  await run('setfattr', ['-n', 'user.note', '-v', 'kept', join(host.root, 'etc/fstab')]);
  await run('setfacl', ['-m', 'u:daemon:r', join(host.root, 'etc/default/grub')]);
});
afterAll(async () => {
  await host?.stop();
  await rm(directory, { recursive: true, force: true });
});

function live(
  more: readonly string[],
  user: keyof RunningHost['keys'] = 'root',
  known = host.knownHosts,
): Promise<Ended> {
  const login = ['--user', user === 'nobody' ? 'guest' : user, '-i', host.keys[user], '--known-hosts', known];
  return cli(['live', '127.0.0.1', '--port', String(host.port), ...login, ...more]);
}

interface Answer {
  digest: string;
  backup: string | null;
  changes: { path: string }[];
  plan: Plan;
  restored: string[];
}
const answer = ({ out }: Ended) => JSON.parse(out) as Answer;

/** Every file of the guest, with all that belongs to it; what the server itself needs is in memory. */
async function everything(): Promise<string> {
  const script = `cd "$1" && for at in . boot srv; do
    find "$at" -xdev -printf "%p %y %m %U %G %s %T@ %l\\n"
    find "$at" -xdev -type f -newermt '@0' -path './etc/*' -exec sha256sum {} +
  done | sort; getfattr -d -m - -e hex etc/fstab; getfacl etc/default/grub; sha256sum boot/initrd* boot/grub/grub.cfg`;
  const { stdout } = await run('sh', ['-ec', script, 'sh', host.root], { maxOutputBytes: 64 * 1024 * 1024 });
  return stdout.toString('utf8');
}

/** Without the backups, and the times of directories that had other names in them for a while. */
const apart = (text: string) =>
  text
    .split('\n')
    .filter((line) => !/hyper2kvm-live/.test(line) && !/^\S+ d /.test(line))
    .join('\n');

describe.runIf(process.getuid?.() === 0)('a guest that is prepared before its move', () => {
  test('is not spoken to if its key is unknown, or another one, or if the login is not root’s', async () => {
    const unknown = join(directory, 'unknown_hosts');
    await writeFile(unknown, '');
    const other = join(directory, 'other_hosts');
    const key = (await readFile(`${host.keys.admin}.pub`, 'utf8')).split(' ').slice(0, 2).join(' ');
    await writeFile(other, `[127.0.0.1]:${host.port} ${key}\n`);
    for (const file of [unknown, other]) {
      const ended = await live(['--json'], 'root', file);
      expect([ended.code, JSON.parse(ended.out).error.code]).toEqual([1, 'live.host-key']);
    }
    // Nothing is added to a file of known hosts.
    expect(await readFile(unknown, 'utf8')).toBe('');
    expect(JSON.parse((await live(['--json'], 'nobody')).out).error.code).toBe('live.not-root');
  });

  test('is planned without a change, prepared as planned, and needs only what may not be done before', async () => {
    const before = await everything();
    const planned = answer(await live(['--json'], 'admin'));
    expect(planned.changes.map(({ path }) => path).sort()).toEqual([
      expect.stringMatching(/^\/boot\/grub\/grub\.cfg$/),
      expect.stringMatching(/^\/boot\/initrd\.img-/),
      '/etc/default/grub',
      '/etc/fstab',
      '/etc/initramfs-tools/modules',
    ]);
    expect(await everything()).toBe(before);

    const refused = await live(['--json', '--apply', `sha256:${'0'.repeat(64)}`]);
    expect(JSON.parse(refused.out).error.code).toBe('live.plan-changed');
    expect(await everything()).toBe(before);

    // /boot has no room for a second initramfs.
    await host.sh('fallocate -l $(($(stat -f -c %a /boot) * $(stat -f -c %S /boot) - 3000000)) /boot/full');
    const full = await live(['--json', '--apply', planned.digest]);
    await host.sh('rm /boot/full');
    expect(JSON.parse(full.out).error.code).toBe('live.no-space');
    expect(apart(await everything())).toBe(apart(before));
    expect(await readdir(join(host.root, 'var/lib'))).not.toContain('hyper2kvm-live');

    const applied = answer(await live(['--json', '--apply', planned.digest], 'admin'));
    expect(applied.changes).toEqual(planned.changes);
    expect(await everything()).not.toContain('.hyper2kvm-');
    const again = answer(await live(['--json']));
    expect([again.changes, again.plan.operations]).toEqual([[], []]);
    const prepared = join(process.env.LIVE_KEEP ?? directory, 'prepared.raw');
    await host.sh('sync');
    await run('cp', ['--sparse=always', disk, prepared]);

    const undone = answer(await live(['--json', '--rollback', String(applied.backup)]));
    expect(undone.restored.sort()).toEqual(planned.changes.map(({ path }) => path).sort());
    expect(apart(await everything())).toBe(apart(before));

    const planning = await cli(['plan', prepared, '--json']);
    expect([planning.code, planning.err]).toEqual([0, '']);
    const left = JSON.parse(planning.out) as Plan;
    const safe = FIXERS.filter(({ whileRunning }) => whileRunning).map(({ name }) => name);
    expect(left.operations.length).toBeGreaterThan(0);
    expect(left.operations.filter(({ fixer }) => safe.includes(fixer))).toEqual([]);
  });
});
