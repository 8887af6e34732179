import { HYPERV_FEATURES, HYPERV_SPINLOCKS } from './hyperv.js';
import { type Machine, scsiPlace } from './machine.js';
import { AHCI_PORTS, boardSata, type PciController, type PciPlace, pciLayout } from './pci.js';

const NIC_DEVICES: Record<Machine['nicModel'], string> = {
  virtio: 'virtio-net-pci',
  e1000: 'e1000',
  e1000e: 'e1000e',
  rtl8139: 'rtl8139',
  vmxnet3: 'vmxnet3',
};

/**
 * Returns `-machine`, `-accel` and everything else that is not a device. `more` are properties of the machine
 * (`,pflash0=code`) and of the CPU.
 */
export function boardArguments(
  machine: Machine,
  accelerator: 'kvm' | 'tcg',
  more: { machine: string; cpu: string } = { machine: '', cpu: '' },
): string[] {
  const { architecture, memoryMib, vcpus, uuid } = machine;
  return [
    ...['-machine', `${board(machine)}${more.machine}`],
    ...['-accel', accelerator === 'kvm' ? 'kvm' : 'tcg,thread=multi'],
    ...[
      '-cpu',
      `${accelerator === 'kvm' ? `max${hypervFlags(machine)}` : architecture.emulatedCpu}${more.cpu}`,
    ],
    ...['-m', `${memoryMib}`, '-smp', `${vcpus}`, '-rtc', clock(machine)],
    ...(uuid === null ? [] : ['-uuid', uuid]),
    // Without it a guest could change the variables that Secure Boot depends on.
    ...(machine.secureBoot ? ['-global', 'driver=cfi.pflash01,property=secure,value=on'] : []),
    // Only one disk is tried, because network boot would take minutes.
    ...['-boot', 'strict=on'],
  ];
}

function board({ type, vcpus, hyperv, secureBoot }: Machine): string {
  // For emulation, QEMU's default interrupt controller of `virt` is version 2, which supports only 8 CPUs.
  const gic = type === 'virt' && vcpus > 8 ? ',gic-version=3' : '';
  return `${type}${gic}${hyperv ? ',hpet=off' : ''}${secureBoot ? ',smm=on' : ''}`;
}

/** As libvirt's timers do it, lost ticks are caught up for Windows. */
function clock({ clock, hyperv }: Machine): string {
  return `base=${clock}${hyperv ? ',driftfix=slew' : ''}`;
}

/** Emulation has no Hyper-V. */
function hypervFlags({ hyperv }: Machine): string {
  if (!hyperv) return '';
  const flags = HYPERV_FEATURES.map((name) => `,hv-${name}=on`).join('');
  return `${flags},hv-spinlocks=${HYPERV_SPINLOCKS},hv-time=on`;
}

/**
 * Returns the NICs, the disks with their controllers, and the random number generator, at the places of
 * `pciLayout`. The NICs' backends are named `net0`, `net1`, …, the disks' drives `disk0`, `disk1`, …
 */
export function deviceArguments(machine: Machine): string[] {
  const layout = pciLayout(machine);
  const first = boardSata(machine);
  return [
    ...machine.nics.flatMap((mac, index) => at(layout.nics[index]!, nicDevice(machine, mac, index))),
    ...layout.scsi.flatMap((place, index) =>
      at(place, virtio(machine, 'virtio-scsi-pci', `id=scsi${index}`)),
    ),
    ...layout.sata.flatMap((place, index) => at(place, `ich9-ahci,id=ahci${index + first}`)),
    ...machine.disks.flatMap((_disk, index) => {
      const device = diskDevice(machine, index);
      const place = layout.disks[index];
      return place === undefined ? ['-device', device] : at(place, device);
    }),
    ...(layout.rng === null ? [] : at(layout.rng, virtio(machine, 'virtio-rng-pci'))),
  ];
}

/** Returns the device at its place, after the ports and bridges that it is the first to need. */
function at({ added, on, slot }: PciPlace, device: string): string[] {
  const bus = on === null ? '' : `,bus=${on.id}`;
  // The only slot behind a root port needs no name.
  const address = slot === null || on?.model === 'root-port' ? '' : `,addr=0x${slot.toString(16)}`;
  return [...added.flatMap(controller), '-device', `${device}${bus}${address}`];
}

function controller({ model, id, index, on, slot, function: part }: PciController): string[] {
  if (model === 'bridge') return ['-device', `pcie-pci-bridge,id=${id},bus=${on!.id}`];
  const address = `addr=0x${slot.toString(16)}.${part}${part === 0 ? ',multifunction=on' : ''}`;
  return ['-device', `pcie-root-port,id=${id},chassis=${index},${address}`];
}

/**
 * Returns a virtio device with its `options` (`drive=disk0`), of the model that the guest's driver supports.
 */
function virtio(machine: Machine, model: string, options = ''): string {
  const name = machine.virtio === 'transitional' ? `${model}-transitional` : model;
  return options === '' ? name : `${name},${options}`;
}

function diskDevice(machine: Machine, index: number): string {
  const { sectorSize } = machine.disks[index]!;
  const sectors =
    sectorSize === undefined ? '' : `,logical_block_size=${sectorSize},physical_block_size=${sectorSize}`;
  const drive = `drive=disk${index}${index === machine.bootDisk ? ',bootindex=0' : ''}${sectors}`;
  switch (machine.diskBus) {
    case 'virtio':
      return virtio(machine, 'virtio-blk-pci', drive);
    case 'scsi': {
      const { controller, unit } = scsiPlace(index);
      return `scsi-hd,bus=scsi${controller}.0,scsi-id=0,lun=${unit},${drive}`;
    }
    case 'sata':
      return `ide-hd,bus=${sataPort(machine, index)},${drive}`;
    case 'ide':
      return `ide-hd,bus=ide.${index >> 1},unit=${index & 1},${drive}`;
  }
}

/** q35 has six ports, named `ide.0` to `ide.5`; `virt` has none. */
function sataPort(machine: Machine, index: number): string {
  const controller = Math.floor(index / AHCI_PORTS);
  return `${controller < boardSata(machine) ? 'ide' : `ahci${controller}`}.${index % AHCI_PORTS}`;
}

function nicDevice(machine: Machine, mac: string | null, index: number): string {
  const address = mac === null ? '' : `,mac=${mac}`;
  // Without its ROM the NIC cannot boot, which saves iPXE's minute.
  const options = `netdev=net${index}${address},romfile=`;
  const model = NIC_DEVICES[machine.nicModel];
  return machine.nicModel === 'virtio' ? virtio(machine, model, options) : `${model},${options}`;
}
