import type { Nic } from '../../model/hardware.js';
import { expectedSlots, isExpressController } from '../base/vmware-slots.js';
import { field, type Item } from './sections.js';
import { childrenNamed, type XmlElement } from './xml.js';

const SCSI = '6';
const ETHERNET = '10';

/** Returns the network cards of a VM, connected or not, in the order of the description. */
export function readNics(system: XmlElement, items: readonly Item[]): Nic[] {
  const cards = items.filter(({ type }) => type === ETHERNET);
  const adapters = virtualBoxAddresses(system);
  const addresses = adapters.length === cards.length ? adapters : [];
  const nics = cards.map(({ element }, index): Nic => {
    const slot = slotOf(element);
    return {
      mac: macOf(field(element, 'Address', 'MACAddress')) ?? macOf(addresses[index] ?? null),
      network: field(element, 'Connection'),
      model: field(element, 'ResourceSubType'),
      ...(slot === null ? {} : { pci_slot: slot }),
    };
  });
  if (nics.length < 2 || nics.some(({ pci_slot }) => pci_slot !== undefined)) return nics;
  const controllers = items.filter(
    ({ element, type }) => type === SCSI && isExpressController(field(element, 'ResourceSubType') ?? ''),
  ).length;
  const slots = expectedSlots(
    nics.map(({ model }) => model),
    controllers,
  );
  return nics.map((nic, index) => (slots[index] === undefined ? nic : { ...nic, likely_slot: slots[index] }));
}

/** Returns a MAC in lower case with colons, from any notation; null for anything else. */
function macOf(text: string | null): string | null {
  const digits = text?.replace(/[:-]/g, '').toLowerCase() ?? '';
  return /^[0-9a-f]{12}$/.test(digits) ? (digits.match(/../g)?.join(':') ?? null) : null;
}

/** VMware's `<vmw:Config vmw:key="slotInfo.pciSlotNumber" vmw:value="192"/>`. */
function slotOf(card: XmlElement): number | null {
  const value = childrenNamed(card, 'Config')
    .find(({ attributes }) => attributes.get('key') === 'slotInfo.pciSlotNumber')
    ?.attributes.get('value');
  return /^[1-9]\d{0,4}$/.test(value ?? '') ? Number(value) : null;
}

/** Returns the MACs in VirtualBox's own description of the VM; its OVF items have none. */
function virtualBoxAddresses(system: XmlElement): string[] {
  return childrenNamed(system, 'Machine')
    .flatMap((machine) => [machine, ...childrenNamed(machine, 'Hardware')])
    .flatMap((part) => childrenNamed(part, 'Network'))
    .flatMap((network) => childrenNamed(network, 'Adapter'))
    .filter(({ attributes }) => attributes.get('enabled') === 'true')
    .sort((a, b) => Number(a.attributes.get('slot')) - Number(b.attributes.get('slot')))
    .map(({ attributes }) => attributes.get('MACAddress') ?? '');
}
