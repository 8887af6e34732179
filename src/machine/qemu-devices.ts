import { type Machine, scsiControllers, scsiPlace } from './machine.js';

const AHCI_PORTS = 6;
const NIC_DEVICES: Record<Machine['nicModel'], string> = {
  virtio: 'virtio-net-pci',
  e1000: 'e1000',
  e1000e: 'e1000e',
  rtl8139: 'rtl8139',
  vmxnet3: 'vmxnet3',
};

/**
 * Returns `-machine`, `-accel` and everything else that is not a device. `more` are properties of the machine
 * (`,pflash0=code`).
 */
export function boardArguments(machine: Machine, accelerator: 'kvm' | 'tcg', more = ''): string[] {
  const { architecture, type, memoryMib, vcpus, clock } = machine;
  return [
    ...['-machine', `${type}${gic(machine)}${more}`],
    ...['-accel', accelerator === 'kvm' ? 'kvm' : 'tcg,thread=multi'],
    ...['-cpu', accelerator === 'kvm' ? 'max' : architecture.emulatedCpu],
    ...['-m', `${memoryMib}`, '-smp', `${vcpus}`, '-rtc', `base=${clock}`],
    // Only disk 0 is tried, because network boot would take minutes.
    ...['-boot', 'strict=on'],
  ];
}

/** For emulation, QEMU's default interrupt controller of `virt` is version 2, which supports only 8 CPUs. */
function gic({ type, vcpus }: Machine): string {
  return type === 'virt' && vcpus > 8 ? ',gic-version=3' : '';
}

/**
 * Returns the NICs, the disks with their controllers, and the random number generator. NICs come first, as
 * with libvirt, so that the guest's kernel gives them the same names. The NICs' backends are named `net0`,
 * `net1`, …, the disks' drives `disk0`, `disk1`, …
 */
export function deviceArguments(machine: Machine): string[] {
  const slots = new PciSlots(machine.type !== 'pc');
  return [
    ...machine.nics.flatMap((mac, index) => nicDevice(machine, mac, index, slots)),
    ...diskControllers(machine, slots),
    ...machine.disks.flatMap((_disk, index) => diskDevice(machine, index, slots)),
    ...(machine.hasRng ? virtio('virtio-rng-pci', '', machine, slots) : []),
  ];
}

/**
 * Returns a virtio device with its `options` (`drive=disk0`), of the model that the guest's driver supports.
 */
function virtio(model: string, options: string, machine: Machine, slots: PciSlots): string[] {
  const more = options === '' ? '' : `,${options}`;
  return machine.virtio === 'transitional'
    ? slots.conventional(`${model}-transitional${more}`)
    : slots.express(`${model}${more}`);
}

function diskControllers(machine: Machine, slots: PciSlots): string[] {
  const scsi = Array.from({ length: scsiControllers(machine) }, (_, index) =>
    virtio('virtio-scsi-pci', `id=scsi${index}`, machine, slots),
  );
  const first = machine.type === 'q35' ? 1 : 0;
  const ahci = machine.diskBus === 'sata' ? Math.ceil(machine.disks.length / AHCI_PORTS) : 0;
  const sata = Array.from({ length: Math.max(0, ahci - first) }, (_, index) =>
    slots.express(`ich9-ahci,id=ahci${index + first}`),
  );
  return [...scsi, ...sata].flat();
}

function diskDevice(machine: Machine, index: number, slots: PciSlots): string[] {
  const { sectorSize } = machine.disks[index]!;
  const sectors =
    sectorSize === undefined ? '' : `,logical_block_size=${sectorSize},physical_block_size=${sectorSize}`;
  const drive = `drive=disk${index}${index === 0 ? ',bootindex=0' : ''}${sectors}`;
  switch (machine.diskBus) {
    case 'virtio':
      return virtio('virtio-blk-pci', drive, machine, slots);
    case 'scsi': {
      const { controller, unit } = scsiPlace(index);
      return ['-device', `scsi-hd,bus=scsi${controller}.0,scsi-id=0,lun=${unit},${drive}`];
    }
    case 'sata':
      return ['-device', `ide-hd,bus=${sataPort(machine, index)},${drive}`];
    case 'ide':
      return ['-device', `ide-hd,bus=ide.${index >> 1},unit=${index & 1},${drive}`];
  }
}

/** q35 has six ports, named `ide.0` to `ide.5`; `virt` has none. */
function sataPort({ type }: Machine, index: number): string {
  const controller = Math.floor(index / AHCI_PORTS);
  return `${type === 'q35' && controller === 0 ? 'ide' : `ahci${controller}`}.${index % AHCI_PORTS}`;
}

function nicDevice(machine: Machine, mac: string | null, index: number, slots: PciSlots): string[] {
  const address = mac === null ? '' : `,mac=${mac}`;
  // Without its ROM the NIC cannot boot, which saves iPXE's minute.
  const options = `netdev=net${index}${address},romfile=`;
  const model = NIC_DEVICES[machine.nicModel];
  return machine.nicModel === 'virtio'
    ? virtio(model, options, machine, slots)
    : slots.express(`${model},${options}`);
}

/** The display has slot 1, q35's own functions are in slot 31. */
const FIRST_SLOT = 2;
const FUNCTIONS = 8;
/** A conventional bus has 32 slots; the bridge's hot-plug controller uses the first. */
const BRIDGE_SLOTS = 31;

/**
 * Assigns PCI devices of q35 and `virt` as libvirt does: each behind its own root port, eight ports per slot
 * (room for 232), and devices that need I/O ports on a conventional bus behind one of them. `pc` has a flat
 * bus.
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
