import type { RegistryKey } from '../../../guest/registry/hive.js';
import type { Nic } from '../../../model/hardware.js';
import type { MacSource } from '../../../model/windows-identity.js';

export interface AdapterMac {
  mac: string | null;
  mac_source: MacSource | null;
  permanent_mac: string | null;
}

/** What the hive has of one adapter. */
export interface AdapterKeys {
  /** `PCI\VEN_…\…`. */
  device: string;
  /** `Control\Class\{4d36e972…}\NNNN`. */
  driver: RegistryKey | null;
  /** `Control\NetworkSetup2\Interfaces\{GUID}\Kernel`, from Windows 10 on. */
  kernel: RegistryKey | null;
}

/** Returns the address that Windows used, and the card's own one where it is another. Pure. */
export function adapterMac(adapter: AdapterKeys, nics: readonly Nic[]): AdapterMac {
  const own = ownMac(adapter, nics);
  const override = macOf(adapter.driver?.text('NetworkAddress')?.replaceAll(/[-:.]/g, '') ?? '');
  if (override === null || override === own?.mac)
    return { mac: own?.mac ?? null, mac_source: own?.source ?? null, permanent_mac: null };
  return { mac: override, mac_source: 'override', permanent_mac: own?.mac ?? null };
}

/** Returns the address that the card itself has, from the surest source on. */
function ownMac(
  { device, kernel }: AdapterKeys,
  nics: readonly Nic[],
): { mac: string; source: MacSource } | null {
  const permanent = macOf(kernel?.value('PermanentAddress')?.data.toString('hex') ?? '');
  if (permanent !== null) return { mac: permanent, source: 'permanent' };
  const instance = device.split('\\').at(-1) ?? '';
  const vmxnet3 = /^FF(..)(..)(..)(..)(..)(..)FE00$/i.exec(instance);
  if (vmxnet3 !== null) {
    const [m2 = '', m1 = '', m0 = '', m5 = '', m4 = '', m3 = ''] = vmxnet3.slice(1);
    const mac = macOf(m0 + m1 + m2 + m3 + m4 + m5);
    if (mac !== null) return { mac, source: 'vmxnet3-id' };
  }
  const [, high, low] = /^([0-9a-f]{6})FFFF([0-9a-f]{6})00$/i.exec(instance) ?? [];
  if (high !== undefined && low !== undefined) {
    const mac = macOf(high + low);
    if (mac !== null) return { mac, source: 'e1000e-id' };
  }
  return bySlot(instance, nics);
}

/** VMware numbers what is behind its PCI bridge (device 17) from here on. */
const FIRST_SLOT_BEHIND_BRIDGE = 32;
const PCI_BRIDGE = 0x88;

/**
 * By the place on the PCI bus: the last four digits of the instance (`4&B70F118&0&1888`) are the card's
 * device number, in the upper five bits of a byte, and its bridge's.
 */
function bySlot(instance: string, nics: readonly Nic[]): { mac: string; source: MacSource } | null {
  const digits = /&([0-9a-f]{4})$/i.exec(instance)?.[1];
  if (digits === undefined || Number.parseInt(digits.slice(2), 16) !== PCI_BRIDGE) return null;
  const slot = FIRST_SLOT_BEHIND_BRIDGE + (Number.parseInt(digits.slice(0, 2), 16) >> 3);
  const mac = nics.find(({ pci_slot }) => pci_slot === slot)?.mac?.toLowerCase() ?? null;
  return mac === null ? null : { mac, source: 'pci-slot' };
}

/** Returns the address with colons; null for what is not that of a card. */
function macOf(digits: string): string | null {
  if (!/^[0-9a-f]{12}$/i.test(digits) || /^(?:0{12}|f{12})$/i.test(digits)) return null;
  return digits.toLowerCase().match(/../g)?.join(':') ?? null;
}
