import { appendFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { run } from '#hyper2kvm/tools/run.js';
import { bootGuest, INITRAMFS_SHELL, LAB_REPORT, labReport } from '../lab/boot.ts';
import { commandLinesDuring } from '../lab/command-lines.ts';
import { buildGuest } from '../lab/guest.ts';
import { live, planPrepared, runLive } from '../lab/live-guests.ts';
import { LIVE_RECIPES } from '../lab/live-recipes.ts';
import { type RunningHost, startHost } from '../lab/running-host.ts';

/** A guest of VMware's that is prepared while it runs: SSH, sudo and the disk are real. */
const RECIPE = LIVE_RECIPES['bookworm-live'];
/** In files that are changed. */
const SECRET = 'h2k-a1b2c3-secret';
const BACKUPS = '/var/lib/hyper2kvm-live';

let directory = '';
/** The disk of the guest that was prepared. */
let prepared = '';
let host: RunningHost;
let processes: string[] = [];

beforeAll(async () => {
  if (process.getuid?.() !== 0) return;
  directory = await mkdtemp(join(tmpdir(), 'h2k-live-'));
  const disk = join(directory, 'disk.raw');
  prepared = join(directory, 'prepared.raw');
  await run('cp', ['--sparse=always', (await buildGuest(RECIPE)).image, disk]);
  host = await startHost(RECIPE, disk, directory);
  await host.sh('chmod 640 /etc/fstab && chown 1:2 /etc/fstab');
  await appendFile(join(host.root, 'etc/fstab'), `# ${SECRET}\n`);
  await appendFile(join(host.root, 'etc/default/grub'), `# ${SECRET}\n`);
  await host.sh('ln /etc/fstab /etc/fstab.other');
  await run('setfattr', ['-n', 'user.note', '-v', 'kept', join(host.root, 'etc/fstab')]);
  await run('setfacl', ['-m', 'u:daemon:r', join(host.root, 'etc/default/grub')]);
  processes = await hostProcesses();
});
afterAll(async () => {
  await host?.stop();
  await rm(directory, { recursive: true, force: true });
});

const hostProcesses = async () =>
  (await readdir(join(host.root, 'proc'))).filter((name) => /^\d+$/.test(name)).sort();

/** Until no session is left on the host: what it was told goes on without the connection. */
const untilQuiet = () => expect.poll(hostProcesses, { timeout: 300_000 }).toEqual(processes);

/** Every file of the guest, with all that belongs to it; what the server itself needs is in memory. */
async function everything(): Promise<string> {
  const script = `cd "$1" && for at in . boot srv; do
    find "$at" -xdev -printf "%p %y %m %U %G %s %T@ %l\\n"
    find "$at" -xdev -type f -path './etc/*' -exec sha256sum {} +
  done | sort; getfattr -d -m - -e hex etc/fstab; getfacl etc/default/grub; sha256sum boot/initrd* boot/grub/grub.cfg
  find dev/shm run sys -printf "%p\\n" | sort`;
  const { stdout } = await run('sh', ['-ec', script, 'sh', host.root], { maxOutputBytes: 64 * 1024 * 1024 });
  return stdout.toString('utf8');
}

/** Without the backups, and the times of directories that had other names in them for a while. */
const apart = (text: string) =>
  text
    .split('\n')
    .filter((line) => !line.includes(BACKUPS) && !/^\S+ d /.test(line))
    .join('\n');

/** The names of all files. */
const namesIn = (text: string) =>
  apart(text)
    .split('\n')
    .flatMap((line) => /^(\S+) [fl] \d/.exec(line)?.[1] ?? []);

describe.runIf(process.getuid?.() === 0)('a guest that is prepared before its move', () => {
  test('is not spoken to if its key is unknown, or another one, or if the login is not root’s', async () => {
    const unknown = join(directory, 'unknown_hosts');
    await writeFile(unknown, '');
    const other = join(directory, 'other_hosts');
    const key = (await readFile(`${host.keys.admin}.pub`, 'utf8')).split(' ').slice(0, 2).join(' ');
    await writeFile(other, `[127.0.0.1]:${host.port} ${key}\n`);
    for (const knownHosts of [unknown, other])
      expect((await live(host, [], { knownHosts })).error.code).toBe('live.host-key');
    // Nothing is added to a file of known hosts.
    expect(await readFile(unknown, 'utf8')).toBe('');
    expect((await live(host, [], { user: 'nobody' })).error.code).toBe('live.not-root');
  });

  test('is planned without a change, prepared as planned or not at all, and put back to the last attribute', async () => {
    const before = await everything();
    let digest = '';
    let paths: string[] = [];
    const planning = await commandLinesDuring(async () => {
      const planned = await live(host, [], { user: 'admin' });
      digest = planned.digest;
      paths = planned.changes.map(({ path }) => path).sort();
      expect(planned.plan.warnings).toEqual([
        expect.objectContaining({
          code: 'live.hard-links',
          message: expect.stringContaining('/etc/fstab has 2'),
        }),
      ]);
    });
    expect(paths).toEqual([
      expect.stringMatching(/^\/boot\/grub\/grub\.cfg$/),
      expect.stringMatching(/^\/boot\/initrd\.img-/),
      '/etc/default/grub',
      '/etc/fstab',
      '/etc/initramfs-tools/modules',
    ]);
    expect(await everything()).toBe(before);

    const refused = await live(host, ['--apply', `sha256:${'0'.repeat(64)}`]);
    expect(refused.error.code).toBe('live.plan-changed');
    expect(await everything()).toBe(before);

    // /boot has no room for a second initramfs.
    await host.sh('fallocate -l $(($(stat -f -c %a /boot) * $(stat -f -c %S /boot) - 3000000)) /boot/full');
    const full = await live(host, ['--apply', digest]);
    await host.sh('rm /boot/full');
    expect(full.error.code).toBe('live.no-space');
    expect(apart(await everything())).toBe(apart(before));
    expect(await readdir(join(host.root, 'var/lib'))).not.toContain('hyper2kvm-live');

    await isWholeWhenKilled(digest, before, paths.length);

    let backup = '';
    const applying = await commandLinesDuring(async () => {
      const applied = await live(host, ['--apply', digest], { user: 'admin' });
      expect(applied.changes.map(({ path }) => path).sort()).toEqual(paths);
      backup = String(applied.backup);
    });
    await untilQuiet();
    const after = await everything();
    expect(namesIn(after)).toEqual(namesIn(before));
    const again = await live(host);
    expect([again.changes, again.plan.operations]).toEqual([[], []]);
    await host.pack(prepared);

    const undoing = await commandLinesDuring(async () => {
      const undone = await live(host, ['--rollback', backup]);
      expect(undone.restored.sort()).toEqual(paths);
    });
    await untilQuiet();
    expect(apart(await everything())).toBe(apart(before));

    const lines = [...planning, ...applying, ...undoing];
    expect(lines.some((line) => line.startsWith('ssh ') && line.includes('-MN'))).toBe(true);
    expect(lines.filter((line) => line.includes(SECRET))).toEqual([]);
  });

  test('boots where it is moved to as it is, and needs only what may not be done before', async () => {
    const { serial } = await bootGuest({
      disks: [{ file: prepared, format: 'raw' }],
      ...{ hardware: 'virtio', firmware: RECIPE.firmware, macs: [RECIPE.network.mac] },
      until: [LAB_REPORT, INITRAMFS_SHELL],
    });
    const { mounts, swaps } = labReport(serial);
    expect([mounts.sort(), swaps]).toEqual([['/', '/boot', '/srv'], ['/dev/vda3']]);
    expect(await planPrepared(prepared)).toEqual({ left: ['network', 'vmware'], forgotten: [] });
  });
});

/** The connection is cut, and this side killed, while the host applies the plan or is still sent it. */
async function isWholeWhenKilled(digest: string, before: string, changes: number): Promise<void> {
  // What it leaves on this side goes with the test.
  const TMPDIR = join(directory, 'k');
  await mkdir(TMPDIR);
  await runLive(host, ['--apply', digest], {
    env: { TMPDIR },
    onOutput({ err }, kill) {
      if (err.includes('The backup of the old files')) kill('SIGKILL');
    },
  });
  await untilQuiet();
  const [id] = await readdir(join(host.root, BACKUPS)).catch(() => []);
  if (id !== undefined) {
    const restored = await host.sh(`sh ${BACKUPS}/${id}/restore`);
    expect(restored.match(/^restored /gm)).toHaveLength(changes);
    // As the warning says, it was a file of its own since.
    await host.sh('ln -f /etc/fstab.other /etc/fstab');
  }
  expect(apart(await everything())).toBe(apart(before));
}
