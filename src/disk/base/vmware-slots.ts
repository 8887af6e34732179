/** A card's place on VMware's PCI buses. */
export interface PciPlace {
  bus: number;
  device: number;
}

/**
 * Returns where VMware puts the card of a `pciSlotNumber`. Bits 5 to 9 are the bridge: 0 is the root bus, 1
 * the bridge of the old PCI devices (bus 2), 5 to 8 the PCI Express bridges of eight functions each, the first
 * of which is bus 3. Bits from 10 are the function: 1184 is 160 in the second function, the guest's ens161.
 */
export function vmwarePlace(slot: number): PciPlace {
  return placeOfNumber((slot & 1023) + (slot >> 10));
}

function placeOfNumber(number: number): PciPlace {
  const [bridge, rest] = [number >> 5, number & 31];
  if (bridge < 5) return { bus: bridge === 0 ? 0 : bridge + 1, device: rest };
  return { bus: 3 + 8 * (bridge - 5) + rest, device: 0 };
}

/** Returns the place that is in a name of systemd's, if the guest ran on VMware; null for any other name. */
export function placeOfName(name: string): PciPlace | null {
  const [, slot, bus, device, index] = /^en(?:s(\d{1,4})|p(\d{1,3})s(\d{1,2})|o(\d{6,10}))$/.exec(name) ?? [];
  if (slot !== undefined) return placeOfNumber(Number(slot));
  if (bus !== undefined) return { bus: Number(bus), device: Number(device) };
  // CentOS 7’s eno16777984: the firmware's index has bus and device in its lower half.
  const number = index === undefined ? 0 : Number(index);
  return number < 1 << 24 ? null : { bus: (number >> 8) & 255, device: (number & 255) >> 3 };
}

/** Returns a number by which places are in the order that a kernel finds the cards in. */
export const busOrder = ({ bus, device }: PciPlace): number => bus * 32 + device;

/**
 * The numbers of the PCI Express slots in the order that VMware gives them to new devices. Systemd names a card
 * of each by the number without the function: ens160, ens192, ens224, ens256, ens161, …
 */
const EXPRESS_SLOTS = [160, 192, 224, 256, 1184, 1216, 1248, 1280, 2208, 2240];

/**
 * Returns the slots that VMware gives at the first start to cards that have none yet, behind `controllers` PCI
 * Express disk controllers. Empty where a card is not on PCI Express: their order is not known.
 */
export function expectedSlots(models: readonly (string | null)[], controllers: number): number[] {
  if (!models.every((model) => /^(vmxnet3|e1000e)$/i.test(model ?? ''))) return [];
  return EXPRESS_SLOTS.slice(controllers, controllers + models.length);
}

/** True for a SCSI controller that VMware puts on PCI Express, by its name in a .vmx or OVF. */
export const isExpressController = (model: string): boolean =>
  /^(pvscsi|VirtualSCSI|lsisas1068|lsilogicsas)$/i.test(model);
