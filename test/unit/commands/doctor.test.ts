import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { applianceCacheFinding, kernelFinding } from '../../../src/commands/doctor/appliance.js';
import { inotifyFinding, kvmFix } from '../../../src/commands/doctor/host.js';
import { accessFinding, networkFinding } from '../../../src/commands/doctor/libvirt.js';
import { checkDirectory, checkSpace } from '../../../src/commands/doctor/spool.js';
import { checkPrograms, checkQemu, sandboxFix } from '../../../src/commands/doctor/tools.js';
import { loadConfig } from '../../../src/config/load.js';

const scratch = mkdtempSync(join(tmpdir(), 'h2k-doctor-'));
afterAll(() => rmSync(scratch, { recursive: true }));

function directory(name: string): string {
  const path = join(scratch, name);
  mkdirSync(path, { recursive: true });
  return path;
}

const isRoot = process.getuid?.() === 0;
describe('doctor finds', () => {
  test('a missing tool, by its Debian package', async () => {
    const bin = directory('bin');
    symlinkSync('/bin/true', join(bin, 'prlimit'));
    const config = loadConfig({ env: {}, flags: {} }).config;
    const context = { config, env: { PATH: bin }, signal: AbortSignal.timeout(5_000) };
    const found = await checkPrograms(context);
    expect(found.find(({ name }) => name === 'prlimit')?.status).toBe('ok');
    expect(found.find(({ name }) => name === 'setpriv')).toMatchObject({
      status: 'fail',
      fix: 'apt install util-linux',
    });
    expect(found.find(({ name }) => name === 'zstd')).toMatchObject({
      status: 'warn',
      fix: 'apt install zstd',
    });
  });

  test('a kernel of mode 0600, and none at all', async () => {
    const boot = directory('boot');
    const modules = directory('modules/6.1.0-1-amd64');
    const kernel = join(boot, 'vmlinuz-6.1.0-1-amd64');
    writeFileSync(kernel, 'kernel');
    // The tests may run as root, who reads everything: what another user may is told by the mode.
    const readableForOthers = async (path: string) => (statSync(path).mode & 0o004) !== 0;
    const look = () => kernelFinding(boot, join(modules, '..'), readableForOthers);
    expect(await look()).toMatchObject({ status: 'ok', detail: kernel });
    chmodSync(kernel, 0o600);
    expect(await look()).toMatchObject({
      status: 'fail',
      detail: `${kernel} cannot be read by this user`,
      fix: `dpkg-statoverride --update --add root root 0644 ${kernel}`,
    });
    rmSync(modules, { recursive: true });
    expect(await look()).toMatchObject({ status: 'fail', fix: 'apt install linux-image-amd64' });
  });

  test('an appliance that is half built, or whose kernel is gone', async () => {
    const cache = directory('cache');
    expect((await applianceCacheFinding(cache, 7)).detail).toContain('not built yet');
    const built = directory('cache/.guestfs-7/appliance.d');
    for (const name of ['initrd', 'root']) writeFileSync(join(built, name), 'x');
    symlinkSync('/boot/vmlinuz-removed', join(built, 'kernel'));
    const stale = { status: 'fail', fix: `rm -r ${join(cache, '.guestfs-7')}` };
    expect(await applianceCacheFinding(cache, 7)).toMatchObject(stale);
    rmSync(join(built, 'kernel'));
    writeFileSync(join(built, 'kernel'), 'x');
    expect((await applianceCacheFinding(cache, 7)).status).toBe('ok');
    writeFileSync(join(built, 'root'), '');
    expect(await applianceCacheFinding(cache, 7)).toMatchObject(stale);
  });

  test.runIf(isRoot)('a spool that belongs to another user', async () => {
    const spool = directory('spool');
    chmodSync(spool, 0o755);
    expect((await checkDirectory('spool.work', spool, 0)).status).toBe('ok');
    expect(await checkDirectory('spool.work', spool, 997)).toMatchObject({
      status: 'warn',
      fix: `chown hyper2kvm: ${spool}`,
    });
  });

  test('too little space, and a spool on several filesystems', async () => {
    const flags = {
      'spool.work': '/proc',
      'spool.incoming': scratch,
      'spool.archive': scratch,
      'spool.failed': scratch,
    };
    const { config } = loadConfig({ env: {}, flags });
    const [space, one] = await checkSpace({ config, env: {}, signal: AbortSignal.timeout(5_000) });
    expect(space).toMatchObject({ status: 'warn', fix: expect.stringContaining('spool.work') });
    expect(one).toMatchObject({
      status: 'warn',
      detail: expect.stringContaining('incoming, archive, failed'),
    });
  });

  test('small inotify limits', () => {
    expect(inotifyFinding(192_536, 128)).toMatchObject({ status: 'ok', fix: '' });
    expect(inotifyFinding(100, 128).fix).toContain('sysctl fs.inotify.max_user_watches=65536');
    expect(inotifyFinding(192_536, 1).status).toBe('warn');
  });

  test('why KVM runs no guest, each with what mends it', () => {
    expect(kvmFix('denied')).toContain('adduser hyper2kvm kvm');
    expect(kvmFix('missing')).toContain('modprobe kvm_intel');
    expect(kvmFix('broken')).toContain('nested virtualization');
  });

  test('why bubblewrap does not work, each with what mends it', () => {
    expect(sandboxFix('missing')).toBe('apt install bubblewrap');
    expect(sandboxFix('refused')).toContain('kernel.unprivileged_userns_clone');
  });

  test('an archive that libvirt’s QEMU may not pass through, with the command that opens it', async () => {
    const archive = directory('archive');
    const bundle = directory('archive/2026-05-04/web01-k3x9');
    for (const path of [scratch, archive]) chmodSync(path, 0o755);
    for (const path of [join(archive, '2026-05-04'), bundle]) chmodSync(path, 0o750);
    // A user and a group that nothing belongs to.
    const user = { name: 'nobody', uid: 65_534, groups: [65_534] };
    const look = () => accessFinding(archive, user, AbortSignal.timeout(20_000));
    const closed = await look();
    expect(closed).toMatchObject({ status: 'warn', detail: expect.stringContaining(bundle) });
    expect(closed.fix).toContain('setfacl -m u:nobody:x,d:u:nobody:x ');
    // Not only said: it mends it.
    execFileSync('sh', ['-e', '-c', closed.fix]);
    expect(await look()).toMatchObject({ status: 'ok', detail: expect.stringContaining(bundle) });
    // And what comes later.
    const later = directory('archive/2026-05-05');
    expect(await look()).toMatchObject({ status: 'ok', detail: expect.stringContaining(later) });
  });

  test('what libvirt’s network lacks', () => {
    expect(networkFinding('default', true).status).toBe('ok');
    expect(networkFinding('default', false).fix).toContain('net-start default');
    expect(networkFinding(null, false).fix).toContain('net-define');
  });

  test('an emulator of another architecture as a fact, not as a fault', async () => {
    const config = loadConfig({ env: {}, flags: {} }).config;
    const found = await checkQemu({ config, env: {}, signal: AbortSignal.timeout(20_000) });
    const foreign = process.arch === 'arm64' ? 'qemu-system-x86_64' : 'qemu-system-aarch64';
    expect(found.find(({ name }) => name === foreign)).toMatchObject({ status: 'ok', fix: '' });
  });
});
