/** A card's place on VMware's PCI buses. */
export interface PciPlace {
  bus: number;
  device: number;
}

/**
 * Returns the place of a `pciSlotNumber`. Bits 5 to 9 are the bridge: 0 is the root bus, 1 the bridge for
 * conventional PCI (bus 2), 5 to 8 are the PCI Express bridges, each with eight functions and as many buses,
 * from bus 3. The bits from 10 are the function: slot 1184 is slot 160 of the second function, ens161 in the
 * guest.
 */
export function vmwarePlace(slot: number): PciPlace {
  return placeOfNumber((slot & 1023) + (slot >> 10));
}

function placeOfNumber(number: number): PciPlace {
  const [bridge, rest] = [number >> 5, number & 31];
  if (bridge < 5) return { bus: bridge === 0 ? 0 : bridge + 1, device: rest };
  return { bus: 3 + 8 * (bridge - 5) + rest, device: 0 };
}

/** Returns the place that systemd's name of a card stands for on VMware; null for any other name. */
export function placeOfName(name: string): PciPlace | null {
  const [, slot, bus, device, index] = /^en(?:s(\d{1,4})|p(\d{1,3})s(\d{1,2})|o(\d{6,10}))$/.exec(name) ?? [];
  if (slot !== undefined) return placeOfNumber(Number(slot));
  if (bus !== undefined) return { bus: Number(bus), device: Number(device) };
  // CentOS 7's eno16777984: the lower half of the firmware's index is bus and device.
  const number = index === undefined ? 0 : Number(index);
  return number < 1 << 24 ? null : { bus: (number >> 8) & 255, device: (number & 255) >> 3 };
}

/** Returns a number that sorts places in the order in which a kernel finds the cards. */
export const busOrder = ({ bus, device }: PciPlace): number => bus * 32 + device;

/**
 * The PCI Express slots in the order in which VMware assigns them to new devices. Systemd's names for their
 * cards are ens160, ens192, ens224, ens256, ens161, …
 */
const EXPRESS_SLOTS = [160, 192, 224, 256, 1184, 1216, 1248, 1280, 2208, 2240];

/**
 * Returns the slots that VMware assigns at the first start to cards that have none yet, after `controllers`
 * PCI Express disk controllers. Returns none if a card is not on PCI Express, because that order is unknown.
 */
export function expectedSlots(models: readonly (string | null)[], controllers: number): number[] {
  if (!models.every((model) => /^(vmxnet3|e1000e)$/i.test(model ?? ''))) return [];
  return EXPRESS_SLOTS.slice(controllers, controllers + models.length);
}

/** Returns true for a SCSI controller on PCI Express, by its name in a .vmx or OVF. */
export const isExpressController = (model: string): boolean =>
  /^(pvscsi|VirtualSCSI|lsisas1068|lsilogicsas)$/i.test(model);
