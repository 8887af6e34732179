import type { JobOptions } from '../config/schema.js';
import type { Hardware } from '../model/hardware.js';
import type { MachineIdentity } from '../model/identity.js';
import type { Devices, PlannedNic } from '../model/plan.js';
import { ARCHITECTURES, type Architecture, type MachineType, machineArchitecture } from './architecture.js';
import { cardAddress, machineNics } from './nics.js';
import { oldBoard, windowsTraits } from './windows-traits.js';

export type DiskFormat = 'qcow2' | 'raw' | 'vdi' | 'vmdk';

/** A disk of the VM by its absolute path, because libvirt accepts no relative ones. */
interface MachineDisk {
  file: string;
  format: DiskFormat;
  /** Bytes of a logical sector; 512 where absent. */
  sectorSize?: 4096;
}

/**
 * The new VM, from which the boot test (qemu-arguments.ts), libvirt's definition (libvirt-domain.ts) and the
 * start command (start-command.ts) are made. test/unit/machine/renderers.test.ts compares the three.
 */
export interface Machine {
  architecture: Architecture;
  type: MachineType;
  firmware: 'bios' | 'uefi';
  memoryMib: number;
  vcpus: number;
  diskBus: Devices['disk_bus'];
  /** In the VM's order. */
  disks: readonly MachineDisk[];
  /** Index of the disk that it starts from. */
  bootDisk: number;
  nicModel: Devices['nic_model'];
  /** MAC of each NIC in order, in lower case; null if QEMU or libvirt may choose. */
  nics: readonly (string | null)[];
  /** `transitional`: drivers that predate virtio 1.0 find the devices, too. */
  virtio: 'modern' | 'transitional';
  /** Whether there is a virtio random number generator, for guests with virtio drivers. */
  hasRng: boolean;
  /** Unix keeps the hardware clock in UTC, Windows (mostly) and DOS in local time. */
  clock: 'utc' | 'localtime';
  /** Whether KVM offers Hyper-V's interface. */
  hyperv: boolean;
  /** The firmware starts only what Microsoft signed. */
  secureBoot: boolean;
  /** Whether there is a TPM 2.0. */
  tpm: boolean;
  /** SMBIOS's UUID of the machine; null: any. */
  uuid: string | null;
  /** Whether each PCI device has an address that libvirt must keep, too. */
  isPinned: boolean;
}

export interface MachineFacts {
  /** The new VM's, as libvirt knows it. */
  name: string;
  hardware: Hardware | null;
  identity: MachineIdentity | null;
  plan: { devices: Devices; nics: readonly PlannedNic[] } | null;
  /** `[vm]` of the job. */
  vm: JobOptions['vm'];
  disks: readonly MachineDisk[];
}

/**
 * Defaults for a VM without a description (a bare disk): enough for a server. The operator can raise them in
 * `[vm]` of job.toml.
 */
const DEFAULT_MEMORY_MIB = 2_048;
const DEFAULT_VCPUS = 2;
const VIRTIO: Devices = { disk_bus: 'virtio', nic_model: 'virtio' };

/**
 * Returns the VM that the job creates. The operator's settings (job.toml) take precedence over the VM's own
 * description, and that over what was found in the guest. Pure. Throws `plan.unsupported-architecture`.
 */
export function machineOf({ name, hardware, identity, plan, vm, disks }: MachineFacts): Machine {
  const architecture: Architecture =
    identity === null ? ARCHITECTURES.x86_64 : machineArchitecture(identity.architecture);
  const { disk_bus, nic_model, virtio } = plan?.devices ?? VIRTIO;
  const newest = architecture.machines[disk_bus];
  if (newest === undefined) throw new Error(`a machine of ${architecture.name} has no ${disk_bus} disks`);
  const wanted = vm.firmware ?? identity?.firmware ?? hardware?.firmware ?? 'bios';
  const firmware = architecture.firmwares.includes(wanted) ? wanted : architecture.firmwares[0]!;
  return {
    architecture,
    type: architecture.isPc ? (oldBoard(identity) ?? newest) : newest,
    firmware,
    memoryMib: vm.memory ?? hardware?.memory_mib ?? DEFAULT_MEMORY_MIB,
    vcpus: vm.vcpus ?? hardware?.vcpus ?? DEFAULT_VCPUS,
    diskBus: disk_bus,
    disks,
    nicModel: nic_model,
    nics: machineNics(name, hardware, plan).map(({ mac }) => cardAddress(mac)),
    virtio: virtio === 'transitional' ? 'transitional' : 'modern',
    hasRng: disk_bus === 'virtio' || disk_bus === 'scsi',
    ...windowsTraits(identity, hardware, { architecture, firmware, disks }),
  };
}

/** libvirt puts this many disks on a SCSI controller, and would give further controllers another model. */
const DISKS_ON_SCSI = 7;

/** Returns where libvirt puts the SCSI disk `index` (`sda`, `sdb`, …). */
export function scsiPlace(index: number): { controller: number; unit: number } {
  return { controller: Math.floor(index / DISKS_ON_SCSI), unit: index % DISKS_ON_SCSI };
}

/** Returns how many SCSI controllers the machine has. */
export function scsiControllers({ diskBus, disks }: Pick<Machine, 'diskBus' | 'disks'>): number {
  return diskBus === 'scsi' ? Math.max(1, Math.ceil(disks.length / DISKS_ON_SCSI)) : 0;
}
