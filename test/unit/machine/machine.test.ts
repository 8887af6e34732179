import { describe, expect, it } from 'vitest';
import { machineOf } from '../../../src/machine/machine.js';
import { madeMac } from '../../../src/machine/nics.js';
import { hardwareWith, type MachineParts, machineWith, storeOn } from './machines.js';

const LINUX = { architecture: 'x86_64', firmware: 'bios', os_type: 'linux' } as const;

describe('machineOf', () => {
  it('takes the operator’s word before the VM’s own description, and that before the guest', () => {
    const hardware = hardwareWith({ memory_mib: 4096, vcpus: 4, firmware: 'bios' });
    const described = {
      name: 'vm',
      hardware,
      identity: { ...LINUX, firmware: 'uefi' as const },
      plan: null,
      disks: [],
    };
    expect(machineOf({ ...described, vm: {} })).toMatchObject({
      memoryMib: 4096,
      vcpus: 4,
      firmware: 'uefi',
    });
    const vm = { memory: 512, vcpus: 1, firmware: 'bios' as const };
    expect(machineOf({ ...described, vm })).toMatchObject({ memoryMib: 512, vcpus: 1, firmware: 'bios' });
  });

  it('gives a bare disk enough for a server, on virtio with one NIC', () => {
    const bare = { name: 'vm', hardware: null, identity: LINUX, plan: null, vm: {}, disks: [] };
    expect(machineOf(bare)).toMatchObject({
      type: 'q35',
      memoryMib: 2048,
      vcpus: 2,
      diskBus: 'virtio',
      nics: [null],
    });
  });

  it('takes q35 but for IDE disks, which it has no controller for', () => {
    const on = (disk_bus: 'sata' | 'ide') => machineWith({ devices: { disk_bus, nic_model: 'e1000' } });
    expect(on('sata')).toMatchObject({ type: 'q35', hasRng: false });
    expect(on('ide')).toMatchObject({ type: 'pc', hasRng: false });
  });

  it('runs 32-bit x86 guests on the same machine, and AArch64 ones on virt, which has UEFI only', () => {
    expect(machineWith({ architecture: 'i386' }).architecture.name).toBe('x86_64');
    expect(machineWith({ architecture: 'aarch64', firmware: 'bios' })).toMatchObject({
      architecture: { name: 'aarch64' },
      type: 'virt',
      firmware: 'uefi',
    });
  });

  it('refuses what no machine of ours runs', () => {
    expect(() => machineWith({ architecture: 's390x' })).toThrow(/s390x.*x86_64 and aarch64/);
  });

  it('keeps the MACs that QEMU and libvirt take, in their order, and makes the others', () => {
    const macs = ['00:50:56:AB:CD:EF', null, '01:00:5e:00:00:01', 'x,romfile=/etc/shadow'];
    expect(machineWith({ macs }).nics).toEqual([
      '00:50:56:ab:cd:ef',
      ...[1, 2, 3].map((n) => madeMac('vm', n)),
    ]);
  });

  it('keeps a Windows guest’s clock in local time, unless its registry says UTC, and DOS’ too', () => {
    expect(machineWith({ osType: 'windows' }).clock).toBe('localtime');
    expect(machineWith({ osType: 'windows', windows: { clock: 'utc' } }).clock).toBe('utc');
    expect(machineWith({ osType: 'dos' }).clock).toBe('localtime');
    expect(machineWith().clock).toBe('utc');
  });
});

describe('the machine of Windows', () => {
  const windows = (windows: MachineParts['windows'], parts: Partial<MachineParts> = {}) =>
    machineWith({ osType: 'windows', windows, ...parts });

  it('is q35 with Hyper-V’s interface from Vista on, and i440fx without it before', () => {
    expect(windows({ build: 6000 })).toMatchObject({ type: 'q35', hyperv: true });
    expect(windows({ build: 5_999 })).toMatchObject({ type: 'pc', hyperv: false });
    expect(windows({ build: 3790 }, { devices: { disk_bus: 'sata', nic_model: 'e1000' } }).type).toBe('pc');
    expect(machineWith().hyperv).toBe(false);
  });

  it('has a TPM for Windows 11, which is no server, and where the source had one', () => {
    expect(windows({ build: 22_000, installation_type: 'Client' }).tpm).toBe(true);
    expect(windows({ build: 21_999, installation_type: 'Client' }).tpm).toBe(false);
    expect(windows({ build: 26_100, installation_type: 'Server' }).tpm).toBe(false);
    expect(windows({ build: 17_763 }, { described: { tpm: true } }).tpm).toBe(true);
    expect(machineWith({ described: { tpm: true } }).tpm).toBe(false);
  });

  it('has Secure Boot where the source had it, which needs UEFI', () => {
    const secure: Partial<MachineParts> = { firmware: 'uefi', described: { secure_boot: true } };
    expect(windows({ build: 20_348 }, secure).secureBoot).toBe(true);
    expect(windows({ build: 20_348 }, { ...secure, firmware: 'bios' }).secureBoot).toBe(false);
    expect(windows({ build: 20_348 }, { firmware: 'uefi' }).secureBoot).toBe(false);
    expect(machineWith(secure).secureBoot).toBe(false);
  });

  it('keeps the UUID that Windows knows, else that of the description', () => {
    const described = { uuid: '11111111-2222-3333-4444-555555555555' };
    const own = '7b0a4d56-d42a-3a1c-b5b5-7ae1d7a3f6c2';
    expect(windows({ smbios_uuid: own }, { described }).uuid).toBe(own);
    expect(windows({ smbios_uuid: null }, { described }).uuid).toBe(described.uuid);
    expect(windows({}).uuid).toBeNull();
    expect(machineWith({ described }).uuid).toBeNull();
  });

  it('starts from the disk with the boot configuration', () => {
    const disks = ['a', 'b'].map((name) => ({ file: `/v/${name}.raw`, format: 'raw' as const }));
    expect(windows({ boot_store: storeOn(1) }, { disks }).bootDisk).toBe(1);
    expect(windows({ boot_store: storeOn(2) }, { disks }).bootDisk).toBe(0);
    expect(windows({ boot_store: null }, { disks }).bootDisk).toBe(0);
  });
});
