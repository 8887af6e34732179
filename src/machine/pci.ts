import type { Machine } from './machine.js';
import { scsiControllers } from './machine.js';

/** A root port, or a bridge to a conventional bus behind one. */
export interface PciController {
  model: 'root-port' | 'bridge';
  /** libvirt's number of the controller, and of the bus behind it. */
  index: number;
  /** QEMU's name of the bus behind it. */
  id: string;
  /** The bus that it is on: null is the machine's own. */
  on: PciController | null;
  slot: number;
  function: number;
}

export interface PciPlace {
  /** Controllers that no device before this one needed. */
  added: readonly PciController[];
  /** The bus: null is the machine's own. */
  on: PciController | null;
  /** Null: QEMU and libvirt choose a free one. */
  slot: number | null;
}

/** The places of the PCI devices that the renderers have in common, by kind in the machine's order. */
export interface PciLayout {
  nics: readonly PciPlace[];
  /** SCSI controllers. */
  scsi: readonly PciPlace[];
  /** SATA controllers beside the board's own. */
  sata: readonly PciPlace[];
  /** Empty unless each disk is a PCI device. */
  disks: readonly PciPlace[];
  rng: PciPlace | null;
}

/** SATA disks on one controller. */
export const AHCI_PORTS = 6;

/**
 * Returns where the machine's PCI devices are. NICs come first, as with libvirt, so that the guest's kernel
 * gives them the same names. The same machine gives the same places. Pure.
 */
export function pciLayout(machine: Machine): PciLayout {
  const slots = new PciSlots(machine);
  const virtio = () => (machine.virtio === 'transitional' ? slots.conventional() : slots.express());
  const places = (count: number, place: () => PciPlace) => Array.from({ length: count }, place);
  const ahci = machine.diskBus === 'sata' ? Math.ceil(machine.disks.length / AHCI_PORTS) : 0;
  return {
    nics: places(machine.nics.length, () => (machine.nicModel === 'virtio' ? virtio() : slots.express())),
    scsi: places(scsiControllers(machine), virtio),
    sata: places(Math.max(0, ahci - boardSata(machine)), () => slots.express()),
    disks: places(machine.diskBus === 'virtio' ? machine.disks.length : 0, virtio),
    rng: machine.hasRng ? virtio() : null,
  };
}

/** Returns how many SATA controllers the board has. */
export function boardSata({ type }: Pick<Machine, 'type'>): number {
  return type === 'q35' ? 1 : 0;
}

/** The display has slot 1, q35's own functions are in slot 31. */
const FIRST_SLOT = 2;
const FUNCTIONS = 8;
/** A conventional bus has 32 slots; the bridge's hot-plug controller uses the first. */
const BRIDGE_SLOTS = 31;
/** On `pc`, the board's own functions have slot 1 and the display slot 2. */
const FIRST_FLAT_SLOT = 3;
const FLAT_SLOTS = 32;

/**
 * Assigns PCI devices of q35 and `virt` as libvirt does: each behind its own root port, eight ports per slot
 * (room for 232), and devices that need I/O ports on a conventional bus behind one of them. `pc` has a flat
 * bus.
 */
class PciSlots {
  readonly #isFlat: boolean;
  readonly #isPinned: boolean;
  #controllers = 0;
  #ports = 0;
  #bridge: PciController | null = null;
  #bridges = 0;
  #bridgeSlots = BRIDGE_SLOTS;
  #flatSlot = FIRST_FLAT_SLOT;

  constructor({ type, isPinned }: Pick<Machine, 'type' | 'isPinned'>) {
    this.#isFlat = type === 'pc';
    this.#isPinned = isPinned;
  }

  express(): PciPlace {
    if (this.#isFlat) return this.#flat();
    const part = this.#ports % FUNCTIONS;
    const slot = FIRST_SLOT + Math.floor(this.#ports / FUNCTIONS);
    this.#ports += 1;
    const port = this.#controller('root-port', `port${this.#ports}`, { on: null, slot, function: part });
    return { added: [port], on: port, slot: 0 };
  }

  conventional(): PciPlace {
    if (this.#isFlat) return this.#flat();
    if (this.#bridge !== null && this.#bridgeSlots < BRIDGE_SLOTS) {
      this.#bridgeSlots += 1;
      return { added: [], on: this.#bridge, slot: this.#bridgeSlots };
    }
    const { added, on } = this.express();
    this.#bridges += 1;
    this.#bridge = this.#controller('bridge', `bridge${this.#bridges}`, { on, slot: 0, function: 0 });
    this.#bridgeSlots = 1;
    return { added: [...added, this.#bridge], on: this.#bridge, slot: 1 };
  }

  #controller(
    model: PciController['model'],
    id: string,
    place: Pick<PciController, 'on' | 'slot' | 'function'>,
  ): PciController {
    this.#controllers += 1;
    return { model, index: this.#controllers, id, ...place };
  }

  #flat(): PciPlace {
    const isFree = this.#isPinned && this.#flatSlot < FLAT_SLOTS;
    return { added: [], on: null, slot: isFree ? this.#flatSlot++ : null };
  }
}
