import fc from 'fast-check';
import { type Machine, machineOf } from '../../../src/machine/machine.js';
import type { Hardware } from '../../../src/model/hardware.js';
import type { MachineIdentity } from '../../../src/model/identity.js';
import type { Devices } from '../../../src/model/plan.js';

export const VIRTIO: Devices = { disk_bus: 'virtio', nic_model: 'virtio' };

/** What machines are made of, changed for a test one by one. */
export interface MachineParts {
  architecture: string;
  firmware: 'bios' | 'uefi';
  devices: Devices;
  disks: Machine['disks'];
  macs: readonly (string | null)[];
  memory: number;
  vcpus: number;
  osType: 'linux' | 'windows' | 'dos';
  /** What INSPECT found of Windows. */
  windows: Pick<MachineIdentity, 'build' | 'installation_type' | 'smbios_uuid' | 'clock' | 'boot_store'>;
  /** What the VM's own description says beside. */
  described: Pick<Hardware, 'secure_boot' | 'tpm' | 'uuid'>;
}

export function machineWith(parts: Partial<MachineParts> = {}): Machine {
  const { architecture = 'x86_64', firmware = 'bios', devices = VIRTIO, osType = 'linux' } = parts;
  const nics = (parts.macs ?? ['00:50:56:ab:cd:ef']).map((mac) => ({ mac, network: null, model: null }));
  return machineOf({
    name: 'vm',
    hardware: hardwareWith({
      memory_mib: parts.memory ?? 1024,
      vcpus: parts.vcpus ?? 2,
      nics,
      ...parts.described,
    }),
    identity: { architecture, firmware, os_type: osType, ...parts.windows },
    plan: { devices, nics: [] },
    vm: {},
    disks: parts.disks ?? [{ file: '/srv/vm/vm-disk0.qcow2', format: 'qcow2' }],
  });
}

export function hardwareWith(parts: Partial<Hardware> = {}): Hardware {
  return {
    ...{ name: null, memory_mib: null, vcpus: null, firmware: null, nics: [], os_hint: null },
    ...parts,
  };
}

/** A boot store on the disk `disk`. */
export const storeOn = (disk: number) => ({
  ...{ device: '/dev/sda1', disk, path: null, entry: null, loader: null, matches_root: true },
  ...{ test_signing: false, policies: [], safe_boot: false, graphics_disabled: false, fallback: null },
});

const mac = fc
  .tuple(...Array.from({ length: 6 }, () => fc.integer({ min: 0, max: 255 })))
  .map((bytes) => bytes.map((byte) => byte.toString(16).padStart(2, '0')).join(':'));
const PC_BUSES = ['virtio', 'scsi', 'sata', 'ide'] as const;

/** Every machine that a plan can ask for. */
export const anyMachine: fc.Arbitrary<Machine> = fc
  .record({
    architecture: fc.constantFrom('x86_64', 'i386', 'aarch64'),
    firmware: fc.constantFrom('bios' as const, 'uefi' as const),
    bus: fc.constantFrom(...PC_BUSES),
    nic: fc.constantFrom(
      'virtio' as const,
      'e1000' as const,
      'e1000e' as const,
      'rtl8139' as const,
      'vmxnet3' as const,
    ),
    isTransitional: fc.boolean(),
    disks: fc.array(
      fc.record({
        file: fc.string({ minLength: 1 }).map((name) => `/srv/${name.replaceAll('\0', '')}`),
        format: fc.constantFrom('qcow2' as const, 'raw' as const, 'vdi' as const, 'vmdk' as const),
        sectorSize: fc.constantFrom(4096 as const, null),
      }),
      { minLength: 1, maxLength: 30 },
    ),
    macs: fc.array(fc.option(fc.oneof(mac, fc.string())), { maxLength: 5 }),
    memory: fc.integer({ min: 64, max: 1 << 20 }),
    vcpus: fc.integer({ min: 1, max: 64 }),
    osType: fc.constantFrom('linux' as const, 'windows' as const, 'dos' as const),
    windows: fc.record({
      build: fc.constantFrom(2600, 3790, 7601, 17_763, 22_631, 26_100),
      installation_type: fc.constantFrom('Client', 'Server'),
      smbios_uuid: fc.option(fc.uuid()),
      clock: fc.constantFrom('localtime' as const, 'utc' as const),
      boot_store: fc.option(fc.nat(3).map(storeOn)),
    }),
    described: fc.record(
      { secure_boot: fc.constant(true as const), tpm: fc.constant(true as const), uuid: fc.uuid() },
      { requiredKeys: [] },
    ),
  })
  .map(({ bus, nic, isTransitional, disks, ...parts }) => {
    const disk_bus = bus === 'ide' && parts.architecture === 'aarch64' ? 'sata' : bus;
    const hasLarge = disk_bus === 'virtio' || disk_bus === 'scsi';
    const all = disks.map(({ sectorSize, ...disk }) => ({
      ...disk,
      ...(sectorSize === null || !hasLarge ? {} : { sectorSize }),
    }));
    return machineWith({
      ...parts,
      disks: disk_bus === 'ide' ? all.slice(0, 4) : all,
      devices: { disk_bus, nic_model: nic, ...(isTransitional ? { virtio: 'transitional' as const } : {}) },
    });
  });
