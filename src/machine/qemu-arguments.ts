import type { Devices } from '../model/plan.js';
import { cardAddress } from './nics.js';

export interface MachineDisk {
  /** The throw-away layer, qcow2, absolute path. */
  overlay: string;
  /** What lies under it, nearest first: the evidence layer when there is one, then the delivered disk. Opened read-only. */
  layers: readonly { file: string; format: 'qcow2' | 'raw' | 'vdi' | 'vmdk' }[];
}

export interface MachineFacts {
  accelerator: 'kvm' | 'tcg';
  /** UEFI: the firmware image and this boot's own copy of its variables; null is BIOS. */
  uefi: { code: string; variables: string } | null;
  memoryMib: number;
  smp: number;
  devices: Devices;
  disks: readonly MachineDisk[];
  /** MAC of each NIC, null where QEMU may choose. */
  nics: readonly (string | null)[];
  /** Windows keeps the hardware clock in local time. */
  localClock: boolean;
}

/** Character devices that the caller taps (see machine/qemu.ts). */
export const SERIAL_CHANNEL = 'serial0';
export const FIRMWARE_CHANNEL = 'firmware0';

const AHCI_PORTS = 6;
const NIC_DEVICES: Record<Devices['nic_model'], string> = {
  virtio: 'virtio-net-pci',
  e1000: 'e1000',
  e1000e: 'e1000e',
  rtl8139: 'rtl8139',
};

/**
 * QEMU's arguments for the boot test: the devices of the delivered domain (machine/libvirt-domain.ts), where libvirt puts them, so that what boots
 * here boots there. Nodes and their formats are pinned, nothing is probed, and no file's own idea of its backing file is followed. Pure.
 */
export function machineArguments(facts: MachineFacts): string[] {
  // q35 has no IDE controller.
  const q35 = facts.devices.disk_bus !== 'ide';
  const slots = new PciSlots(q35);
  return [
    ...['-machine', machine(facts, q35)],
    ...['-accel', facts.accelerator === 'kvm' ? 'kvm' : 'tcg,thread=multi'],
    ...['-cpu', 'max', '-m', `${facts.memoryMib}`, '-smp', `${facts.smp}`],
    ...['-rtc', `base=${facts.localClock ? 'localtime' : 'utc'}`],
    // Stay after a panic or a shutdown: the last picture is still to be taken.
    ...['-action', 'panic=none,shutdown=pause'],
    // Only disk 0 is asked: no network boot, no minutes lost.
    ...['-boot', 'strict=on'],
    ...firmware(facts),
    ...disks(facts, slots),
    ...nics(facts, slots),
    ...['-device', 'VGA'],
    ...['-serial', `chardev:${SERIAL_CHANNEL}`],
    ...['-device', `isa-debugcon,iobase=0x402,chardev=${FIRMWARE_CHANNEL}`],
    ...['-device', 'pvpanic'],
    ...(facts.devices.disk_bus === 'virtio' ? virtio('virtio-rng-pci', '', facts, slots) : []),
  ];
}

function machine({ uefi }: MachineFacts, q35: boolean): string {
  const type = q35 ? 'q35' : 'pc';
  return uefi === null ? type : `${type},pflash0=code,pflash1=variables`;
}

function firmware({ uefi }: MachineFacts): string[] {
  if (uefi === null) return [];
  return [
    ...blockdev({ 'node-name': 'code', driver: 'raw', 'read-only': true, file: file(uefi.code, true) }),
    ...blockdev({ 'node-name': 'variables', driver: 'raw', file: file(uefi.variables, false) }),
  ];
}

/** A virtio device with its `options` (`drive=disk0`), of the model that the guest's driver knows. */
function virtio(model: string, options: string, { devices }: MachineFacts, slots: PciSlots): string[] {
  const more = options === '' ? '' : `,${options}`;
  return devices.virtio === 'transitional'
    ? slots.conventional(`${model}-transitional${more}`)
    : slots.express(`${model}${more}`);
}

function disks(facts: MachineFacts, slots: PciSlots): string[] {
  const bus = facts.devices.disk_bus;
  const controllers =
    bus === 'scsi' ? virtio('virtio-scsi-pci', 'id=scsi0', facts, slots) : ahci(facts, slots);
  return [
    ...controllers,
    ...facts.disks.flatMap((disk, index) => [
      ...blockdev(diskNode(disk, index)),
      ...diskDevice(facts, index, slots),
    ]),
  ];
}

/** q35 brings six SATA ports, named `ide.0` to `ide.5`; further disks need further controllers. */
function ahci(facts: MachineFacts, slots: PciSlots): string[] {
  if (facts.devices.disk_bus !== 'sata') return [];
  const more = Math.max(0, Math.ceil(facts.disks.length / AHCI_PORTS) - 1);
  return Array.from({ length: more }, (_, index) => slots.express(`ich9-ahci,id=ahci${index + 1}`)).flat();
}

function diskDevice(facts: MachineFacts, index: number, slots: PciSlots): string[] {
  const drive = `drive=disk${index}${index === 0 ? ',bootindex=0' : ''}`;
  switch (facts.devices.disk_bus) {
    case 'virtio':
      return virtio('virtio-blk-pci', drive, facts, slots);
    case 'scsi':
      return ['-device', `scsi-hd,bus=scsi0.0,scsi-id=${index},${drive}`];
    case 'sata':
      return ['-device', `ide-hd,bus=${sataPort(index)},${drive}`];
    case 'ide':
      return ['-device', `ide-hd,bus=ide.${index >> 1},unit=${index & 1},${drive}`];
  }
}

function sataPort(index: number): string {
  const controller = Math.floor(index / AHCI_PORTS);
  return `${controller === 0 ? 'ide' : `ahci${controller}`}.${index % AHCI_PORTS}`;
}

function diskNode(disk: MachineDisk, index: number): Record<string, unknown> {
  const backing = disk.layers.reduceRight<Record<string, unknown> | null>(
    (below, { file: path, format }) => ({
      driver: format,
      'read-only': true,
      file: file(path, true),
      ...(format === 'qcow2' || format === 'vmdk' ? { backing: below } : {}),
    }),
    null,
  );
  return {
    'node-name': `disk${index}`,
    driver: 'qcow2',
    // The layer is thrown away: the guest's flushes need not reach the platter.
    cache: { 'no-flush': true },
    discard: 'unmap',
    file: { ...file(disk.overlay, false), discard: 'unmap' },
    backing,
  };
}

function nics(facts: MachineFacts, slots: PciSlots): string[] {
  const model = NIC_DEVICES[facts.devices.nic_model];
  return facts.nics.flatMap((mac, index) => {
    const own = cardAddress(mac);
    const address = own === null ? '' : `,mac=${own}`;
    // Without its ROM the NIC cannot boot, and iPXE's minute is saved.
    const options = `netdev=net${index}${address},romfile=`;
    return [
      ...['-netdev', `user,id=net${index},restrict=on`],
      ...(facts.devices.nic_model === 'virtio'
        ? virtio(model, options, facts, slots)
        : slots.express(`${model},${options}`)),
    ];
  });
}

/** VGA has slot 1, the chipset's own functions are in slot 31. */
const FIRST_SLOT = 2;
const FUNCTIONS = 8;
/** A conventional bus has 32 slots; the hot-plug controller of the bridge has the first. */
const BRIDGE_SLOTS = 31;

/**
 * Where libvirt puts PCI devices of a q35 machine: each behind a root port of its own, eight ports a slot (room for 232), and devices that need I/O ports on a
 * conventional bus behind one of them. `pc` has a flat bus.
 */
class PciSlots {
  readonly #isExpress: boolean;
  #ports = 0;
  #conventional = 0;

  constructor(isExpress: boolean) {
    this.#isExpress = isExpress;
  }

  express(device: string): string[] {
    if (!this.#isExpress) return ['-device', device];
    const index = this.#ports++;
    const [slot, part] = [FIRST_SLOT + Math.floor(index / FUNCTIONS), index % FUNCTIONS];
    const port = `port${index + 1}`;
    const address = `addr=0x${slot.toString(16)}.${part}${part === 0 ? ',multifunction=on' : ''}`;
    return [
      ...['-device', `pcie-root-port,id=${port},chassis=${index + 1},${address}`],
      ...['-device', `${device},bus=${port}`],
    ];
  }

  conventional(device: string): string[] {
    if (!this.#isExpress) return ['-device', device];
    const index = this.#conventional++;
    const [bridge, slot] = [Math.floor(index / BRIDGE_SLOTS) + 1, (index % BRIDGE_SLOTS) + 1];
    const bus = slot === 1 ? this.express(`pcie-pci-bridge,id=bridge${bridge}`) : [];
    return [...bus, '-device', `${device},bus=bridge${bridge},addr=0x${slot.toString(16)}`];
  }
}

function blockdev(node: Record<string, unknown>): string[] {
  return ['-blockdev', JSON.stringify(node)];
}

function file(filename: string, readOnly: boolean): Record<string, unknown> {
  return { driver: 'file', filename, 'read-only': readOnly };
}
