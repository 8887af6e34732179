import { describe, expect, it } from 'vitest';
import { machineOf } from '../../../src/machine/machine.js';
import { madeMac } from '../../../src/machine/nics.js';
import { hardwareWith, machineWith } from './machines.js';

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

  it('keeps a Windows guest’s clock in local time', () => {
    expect(machineWith({ osType: 'windows' }).clock).toBe('localtime');
    expect(machineWith().clock).toBe('utc');
  });
});
