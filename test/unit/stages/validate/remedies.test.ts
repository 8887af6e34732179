import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { jobOptionsSchema } from '../../../../src/config/schema.js';
import type { Again } from '../../../../src/engine/stage.js';
import { writeSnapshot } from '../../../../src/guest/snapshot-file.js';
import type { Boot } from '../../../../src/model/boot.js';
import type { EndedPass, Pass } from '../../../../src/model/pass.js';
import { planRequested } from '../../../../src/stages/plan/plan-requested.js';
import { remedies, remediesBy } from '../../../../src/stages/validate/remedies.js';
import { filesystem, guestOf, kernelOf, modulesOf, VERSION, VMWARE_MODULES } from '../../families/guests.js';
import { sampleBoot, sampleFetch } from '../../report/sample.js';

/** Plans here: a thread for each plan takes longer than all of the rest. */
const remediesHere = remediesBy((request) => planRequested(request));

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'h2k-remedies-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

const SHELL = {
  signature: 'initramfs-shell',
  meaning: 'The initramfs did not find the root file system and stopped at its shell.',
  advice: 'x',
};
const failedBoot = (failure: NonNullable<Boot['failure']> = SHELL): Boot => ({
  ...sampleBoot,
  ...{ verdict: 'failed', level: 'kernel', failure },
});
const NO_ADDRESS = { code: 'validate.no-address' as const, message: 'it has no address' };
const withoutAddress = (missing: number): Boot => ({
  ...sampleBoot,
  warnings: Array.from({ length: missing }, () => NO_ADDRESS),
});

function ended(options: Pass['options'], boot: Boot | null): EndedPass {
  const output = boot === null ? null : { boot, directory: 'boot', content: null };
  const error =
    boot === null ? { code: 'fix.unproven', message: 'no', advice: '', retryable: false, causes: [] } : null;
  return { reason: null, options, output: output as EndedPass['output'], error, directory: null };
}

/** A guest whose initramfs lacks virtio; its tool can build it again unless `tool` is false. */
async function next(
  passes: EndedPass[],
  given: { tool?: boolean; config?: Record<string, unknown>; by?: Again } = {},
) {
  const guest = guestOf({
    filesystems: [filesystem('/dev/sda1', 'ext4', 'root-uuid', { mountpoint: '/' })],
    files: {
      ...modulesOf(VERSION),
      '/etc/fstab': 'UUID=root-uuid / ext4 defaults 0 1\nUUID=data-uuid /srv ext4 defaults 0 2\n',
      '/etc/network/interfaces': 'iface ens192 inet dhcp\n',
      '/etc/udev/rules.d/': null,
      '/usr/lib/systemd/system/systemd-network-generator.service': '',
      ...(given.tool === false ? {} : { '/usr/sbin/update-initramfs': '', '/usr/sbin/mkinitramfs': '' }),
    },
    identity: { kernels: [kernelOf(VERSION, VMWARE_MODULES)], network_manager: ['ifupdown'] },
  });
  const snapshot_sha256 = await writeSnapshot(join(directory, 'snapshot.json'), guest.tree);
  const outputs = {
    fetch: sampleFetch,
    flatten: { disks: [{ sector_size: 512 }] },
    inspect: {
      ...{ identity: guest.identity, snapshot: 'snapshot.json', snapshot_sha256 },
      initramfs_listings: 'initramfs.json',
    },
  };
  const context = {
    job: { id: 'k3x9', vm: 'web01' },
    options: jobOptionsSchema.parse({ config: given.config ?? {} }),
    workDirectory: directory,
    signal: new AbortController().signal,
    log: pino({ level: 'silent' }),
  };
  return (given.by ?? remediesHere).next(context, outputs, passes);
}

it('takes the family’s remedies for the signature in their order, each on top of the last, two at most', async () => {
  const first = ended({}, failedBoot());
  const rebuilt = { 'fix.initramfs': 'rebuild' };
  const sata = { ...rebuilt, 'fix.devices': 'sata' };
  expect(await next([first])).toEqual({
    reason:
      'The initramfs did not find the root file system and stopped at its shell: the guest’s own tool builds the initramfs again',
    options: rebuilt,
  });
  const second = ended(rebuilt, failedBoot());
  expect(await next([first, second])).toMatchObject({ options: sata });
  expect(await next([first, second, ended(sata, failedBoot())])).toBeNull();
});

it('does not try what leads to a plan that was booted already', async () => {
  // Without a tool, "rebuild" appends the drivers as before.
  expect(await next([ended({}, failedBoot())], { tool: false })).toMatchObject({
    options: { 'fix.devices': 'sata' },
  });
  const named = { signature: 'emergency-mode', meaning: 'x', advice: 'x', named: ['/nowhere'] };
  expect(await next([ended({}, failedBoot(named))])).toBeNull();
  expect(await next([ended({}, failedBoot({ ...named, named: ['/srv'] }))])).toMatchObject({
    options: { 'fix.nofail': ['/srv'] },
  });
});

it('asks for nothing after a boot that succeeded, or in a way that no remedy is known for', async () => {
  expect(await next([ended({}, sampleBoot)])).toBeNull();
  expect(await next([ended({}, failedBoot({ ...SHELL, signature: 'stalled' }))])).toBeNull();
});

it('comes to the same with plans that are made in threads, as in the product', async () => {
  expect(await next([ended({}, withoutAddress(1))], { by: remedies })).toMatchObject({
    options: { 'fix.interface_names': 'mac' },
  });
});

it('goes on after a remedy that failed before its boot', async () => {
  const rebuilt = { 'fix.initramfs': 'rebuild' };
  expect(await next([ended({}, failedBoot()), ended(rebuilt, null)])).toMatchObject({
    options: { 'fix.devices': 'sata' },
  });
});

it('makes the best plan once more if none did better, as long as the job goes on with it', async () => {
  const mac = { 'fix.interface_names': 'mac' };
  const first = ended({}, withoutAddress(1));
  expect(await next([first])).toMatchObject({ options: mac });
  // Worse: it does not boot, or lacks more, or was never built.
  const back = { options: {}, reason: 'No other plan did better than this one: the first plan' };
  for (const boot of [failedBoot({ ...SHELL, signature: 'stalled' }), withoutAddress(2), null])
    expect(await next([first, ended(mac, boot)])).toEqual(back);
  // Neither boots, and the first one came further.
  const further = { ...failedBoot({ ...SHELL, signature: 'stalled' }), level: 'userspace' as const };
  const boots = { config: { validate: { required: false, remedies: 'auto' } } };
  const early = { ...further, level: 'bootloader' as const };
  expect(await next([ended({}, further), ended(mac, early)], boots)).toEqual(back);
  // As good: the last one stands. And after the return nothing follows.
  expect(await next([first, ended(mac, withoutAddress(1))])).toBeNull();
  expect(await next([first, ended(mac, withoutAddress(2)), first])).toBeNull();
  // The job could not go on with either.
  const require = { validate: { require: ['network'] } };
  expect(await next([first, ended(mac, withoutAddress(2))], { config: require })).toBeNull();
});

it('is for VMs whose boot is tested', () => {
  const enabled = (validate: Record<string, unknown>, kind: 'vm' | 'data' = 'vm') =>
    remedies.enabled(jobOptionsSchema.parse({ kind, config: { validate } }));
  expect(enabled({})).toBe(true);
  expect(enabled({ remedies: 'none' })).toBe(false);
  expect(enabled({ enabled: false })).toBe(false);
  expect(enabled({}, 'data')).toBe(false);
});
