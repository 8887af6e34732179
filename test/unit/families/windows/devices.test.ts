import { describe, expect, it } from 'vitest';
import { jobOptionsSchema } from '../../../../src/config/schema.js';
import { planGuest, planNothing } from '../../../../src/families/plan.js';
import { stopped } from '../../../../src/families/windows/boot-signatures.js';
import { REMEDIES } from '../../../../src/families/windows/remedies.js';
import type { DriverSet } from '../../../../src/model/driver-set.js';
import { planDiff } from '../../../../src/stages/plan/plan-diff.js';
import { dword, sz } from '../../guest/registry/make-hive.js';
import { sampleBoot } from '../../report/sample.js';
import { guestOf } from '../guests.js';
import { labDrivers } from './drivers/lab-drivers.js';
import type { Keys, WindowsRecipe } from './make-windows.js';
import { planWindows } from './plan-windows.js';

const WINDOWS_10: WindowsRecipe = {
  ...{ build: 18362, product: 'Windows 10 Enterprise', edition: 'Enterprise', installation: 'Client' },
  ...{ machine: 'amd64', firmware: 'bios' },
};
const SERVER_2003: WindowsRecipe = {
  ...{ build: 3790, product: 'Microsoft Windows Server 2003', edition: 'ServerStandard' },
  ...{ machine: 'x86', firmware: 'bios' },
};
const codesOf = ({ plan }: Awaited<ReturnType<typeof planWindows>>) => plan.warnings.map(({ code }) => code);

describe('a TPM of the old VM', () => {
  const withTpm = { hardware: guestOf({ hardware: { tpm: true } }).hardware };

  it.each(['auto', 'sata'] as const)(
    'stays behind with what it held: a warning, changed or not (%s)',
    async (devices) => {
      const changed = await planWindows(WINDOWS_10, {}, { devices }, null, withTpm);
      expect(codesOf(changed)).toContain('devices.windows-tpm-state');
      const unchanged = planNothing(changed.guest);
      expect(unchanged.warnings.map(({ code }) => code)).toContain('devices.windows-tpm-state');
    },
  );

  it('is not missed where there was none', async () => {
    const { guest, plan } = await planWindows(WINDOWS_10, {}, {}, null);
    const codes = [...plan.warnings, ...planNothing(guest).warnings].map(({ code }) => code);
    expect(codes).not.toContain('devices.windows-tpm-state');
  });
});

describe('fix.devices', () => {
  it('decides for Windows too, whatever drivers it gets', async () => {
    const drivers = await labDrivers({ build: 18362, architecture: 'amd64' }, 'w10');
    const auto = await planWindows(WINDOWS_10, {}, {}, drivers);
    expect(auto.plan.devices).toEqual({ disk_bus: 'virtio', nic_model: 'virtio' });
    const sata = await planWindows(WINDOWS_10, {}, { devices: 'sata' }, drivers);
    expect(sata.plan.devices).toEqual({ disk_bus: 'sata', nic_model: 'e1000e' });
    const ide = await planWindows(WINDOWS_10, {}, { devices: 'ide' });
    expect(ide.plan.devices).toEqual({ disk_bus: 'ide', nic_model: 'e1000' });
    for (const guest of [auto, sata, ide]) expect(codesOf(guest)).not.toContain('devices.windows-no-driver');
    expect(codesOf(ide)).not.toContain('devices.windows-no-virtio');
  });

  it('warns of devices without a driver', async () => {
    const virtio = await planWindows(WINDOWS_10, {}, { devices: 'virtio' });
    expect(virtio.plan.devices).toEqual({ disk_bus: 'virtio', nic_model: 'virtio' });
    expect(codesOf(virtio).filter((code) => code === 'devices.windows-no-driver')).toHaveLength(2);
    const old = await planWindows(SERVER_2003, {}, { devices: 'sata' });
    expect(codesOf(old)).toContain('devices.windows-no-driver');
  });
});

it('more disks than a VM has places for IDE disks are refused', async () => {
  const plan = (disks: number) =>
    planWindows(SERVER_2003, {}, {}, null, { controllers: Array.from({ length: disks }, () => null) });
  expect((await plan(4)).plan.devices.disk_bus).toBe('ide');
  await expect(plan(5)).rejects.toMatchObject({ code: 'plan.too-many-disks' });
});

describe('a guest that works with virtio already', () => {
  const services = (start: number, override = false): Keys => ({
    '@\\Services\\viostor': [dword('Type', 1), dword('Start', start)],
    '@\\Services\\netkvm': [dword('Type', 1), dword('Start', 3)],
    ...(override ? { '@\\Services\\viostor\\StartOverride': [dword('0', 3)] } : {}),
  });
  const known = (device: string): Keys => ({
    [`@\\Control\\CriticalDeviceDatabase\\PCI#VEN_1AF4&DEV_${device}`]: [sz('Service', 'viostor')],
  });
  const MODERN = known('1042');
  async function planned(system: Keys, drivers: DriverSet | null = null) {
    const { guest } = await planWindows({ ...WINDOWS_10, system });
    const own = (service: 'viostor' | 'netkvm') => ({
      ...{ service, version: '100.95.104.26200' },
      path: `/Windows/System32/drivers/${service}.sys`,
    });
    const identity = { ...guest.identity, virtio_drivers: [own('viostor'), own('netkvm')] };
    const plan = planGuest({ ...guest, identity, drivers });
    return { devices: plan.devices, codes: plan.warnings.map(({ code }) => code) };
  }

  it('keeps virtio devices without virtio-win, and with one that has nothing for it', async () => {
    const without = await planned({ ...services(0), ...MODERN });
    expect(without.devices).toEqual({ disk_bus: 'virtio', nic_model: 'virtio' });
    expect(without.codes).not.toContain('devices.windows-no-virtio');
    const nothing = await labDrivers({ build: 18_363, architecture: 'amd64' }, 'w10', ['Balloon']);
    expect((await planned({ ...services(0), ...MODERN }, nothing)).devices).toEqual(without.devices);
  });

  it('gets transitional ones where it knows none of virtio 1.0', async () => {
    const { devices } = await planned({ ...services(0), ...known('1001') });
    expect(devices).toEqual({ disk_bus: 'virtio', nic_model: 'virtio', virtio: 'transitional' });
  });

  it('gets SATA disks where its driver is not started at boot, or Windows does not know what for', async () => {
    const late = [services(3), services(0, true)].map((system) => ({ ...system, ...MODERN }));
    // The memory balloon says nothing of disks.
    for (const system of [...late, { ...services(0), ...known('1045') }]) {
      const { devices, codes } = await planned(system);
      expect(devices).toEqual({ disk_bus: 'sata', nic_model: 'virtio' });
      expect(codes).toContain('devices.windows-no-virtio');
    }
  });
});

describe('Windows before Vista', () => {
  it('gets no card that only pnputil could install, and no first boot, with a warning', async () => {
    const drivers = await labDrivers({ build: 3790, architecture: 'x86', product: 'server' }, '2k3');
    expect(drivers.packages.map(({ name }) => name)).toContain('netkvm');
    const result = await planWindows(SERVER_2003, {}, {}, drivers);
    expect(result.plan.devices).toMatchObject({ disk_bus: 'virtio', nic_model: 'rtl8139' });
    expect(codesOf(result)).toContain('devices.windows-no-first-boot');
    expect(planDiff(result.plan)).not.toMatch(/pnputil|hyper2kvm-firstboot|AutoReboot/);
    const later = await planWindows(WINDOWS_10);
    expect(codesOf(later)).not.toContain('devices.windows-no-first-boot');
  });
});

describe('after INACCESSIBLE_BOOT_DEVICE', () => {
  const triedAfter = async (recipe: WindowsRecipe, disk_bus: 'virtio' | 'sata', code = 0x7b) => {
    const { guest } = await planWindows(recipe);
    const { signature, meaning, advice } = stopped(code);
    const boot = {
      ...sampleBoot,
      ...{ verdict: 'failed' as const, level: 'kernel' as const },
      failure: { signature, meaning, advice },
    };
    return REMEDIES.filter(({ signatures }) => signatures.includes(signature)).flatMap(({ change }) =>
      change({
        ...{ boot, identity: guest.identity, devices: { disk_bus, nic_model: 'virtio' as const } },
        options: jobOptionsSchema.parse({ config: {}, vm: {} }),
      }).map(({ options }) => options),
    );
  };

  it('of a virtio disk, Windows’ own controllers are tried', async () => {
    expect(await triedAfter(WINDOWS_10, 'virtio')).toEqual([{ 'fix.devices': 'sata' }]);
    expect(await triedAfter(SERVER_2003, 'virtio')).toEqual([{ 'fix.devices': 'ide' }]);
  });

  it('of another disk, or another stop, nothing is', async () => {
    expect(await triedAfter(WINDOWS_10, 'sata')).toEqual([]);
    expect(await triedAfter(WINDOWS_10, 'virtio', 0x50)).toEqual([]);
  });
});
