import type { DescribedDisk, Description } from '../../model/description.js';
import type { Nic } from '../../model/hardware.js';
import { unsupported } from '../base/bytes.js';
import { compareNames } from '../base/names.js';
import { childrenNamed, parseXml, type XmlElement } from '../ovf/xml.js';

/** Buses in the order in which VirtualBox' BIOS looks for a disk to start from. */
const BUSES = ['ide', 'sata', 'scsi', 'nvme'] as const;
const CONTROLLERS: Readonly<Record<string, (typeof BUSES)[number]>> = {
  PIIX3: 'ide',
  PIIX4: 'ide',
  ICH6: 'ide',
  AHCI: 'sata',
  LsiLogic: 'scsi',
  LsiLogicSas: 'scsi',
  BusLogic: 'scsi',
  VirtioSCSI: 'scsi',
  NVMe: 'nvme',
};

/**
 * Parses VirtualBox' machine file (`.vbox`): the VM as it is now, not as a snapshot has it. Null if it describes no
 * machine with its hardware. Throws `fetch.corrupt`, and `fetch.unsupported` for encrypted disks.
 */
export function parseMachine(bytes: Buffer): Description | null {
  const machine = childrenNamed(parseXml(bytes), 'Machine')[0];
  const hardware = childrenNamed(machine, 'Hardware')[0];
  if (machine === undefined || hardware === undefined) return null;
  const disks = disksOf(machine, hardware);
  const attribute = (element: string, name: string) =>
    childrenNamed(hardware, element)[0]?.attributes.get(name);
  return {
    hardware: {
      name: machine.attributes.get('name') ?? null,
      memory_mib: positive(attribute('Memory', 'RAMSize')),
      vcpus: positive(attribute('CPU', 'count')) ?? 1,
      firmware: firmwareOf(hardware),
      nics: nicsOf(hardware),
      os_hint: machine.attributes.get('OSType') ?? null,
    },
    disks,
    files: disks.map(({ file }) => file!),
    warnings: [],
  };
}

/** Newer versions have it in the BIOS element, older ones beside it. */
function firmwareOf(hardware: XmlElement): 'bios' | 'uefi' {
  const places = [hardware, ...childrenNamed(hardware, 'BIOS')];
  const types = places
    .flatMap((place) => childrenNamed(place, 'Firmware'))
    .map(({ attributes }) => attributes.get('type'));
  return types.some((type) => type?.startsWith('EFI')) ? 'uefi' : 'bios';
}

interface Medium {
  location: string;
  isEncrypted: boolean;
}

/** A disk that the file does not locate makes all of them unknown: the images themselves are then looked at. */
function disksOf(machine: XmlElement, hardware: XmlElement): DescribedDisk[] {
  const media = mediaOf(machine);
  const attached = attachedDisks([machine, hardware]);
  const disks: DescribedDisk[] = [];
  for (const { controller, uuid } of attached) {
    const medium = media.get(uuid);
    if (medium === undefined || medium.location === '') return [];
    if (medium.isEncrypted)
      throw unsupported(
        'a disk of the VirtualBox VM is encrypted',
        'Decrypt it first: `VBoxManage encryptmedium DISK --oldpassword FILE`.',
      );
    disks.push({ controller, file: medium.location, capacity: null, format: null });
  }
  return disks;
}

/** All disks of the registry by their UUIDs; one made on another is inside of that. */
function mediaOf(machine: XmlElement): Map<string, Medium> {
  const media = new Map<string, Medium>();
  const add = (disk: XmlElement, isBelowEncrypted: boolean) => {
    const isEncrypted =
      isBelowEncrypted ||
      childrenNamed(disk, 'Property').some(({ attributes }) => attributes.get('name')?.startsWith('CRYPT/'));
    media.set(uuidOf(disk), { location: disk.attributes.get('location') ?? '', isEncrypted });
    for (const child of childrenNamed(disk, 'HardDisk')) add(child, isEncrypted);
  };
  for (const registry of childrenNamed(machine, 'MediaRegistry'))
    for (const disks of childrenNamed(registry, 'HardDisks'))
      for (const disk of childrenNamed(disks, 'HardDisk')) add(disk, false);
  return media;
}

/** The controllers are in the hardware, in older files beside it. */
function attachedDisks(places: readonly XmlElement[]): { controller: string; uuid: string }[] {
  const controllers = places
    .flatMap((place) => childrenNamed(place, 'StorageControllers'))
    .flatMap((list) => childrenNamed(list, 'StorageController'));
  const numbers = new Map<string, number>();
  const found = controllers.flatMap((element) => {
    const bus = CONTROLLERS[element.attributes.get('type') ?? ''];
    if (bus === undefined) return [];
    const number = numbers.get(bus) ?? 0;
    numbers.set(bus, number + 1);
    return childrenNamed(element, 'AttachedDevice')
      .filter(({ attributes }) => attributes.get('type') === 'HardDisk')
      .flatMap((device) => {
        const image = childrenNamed(device, 'Image')[0];
        if (image === undefined) return [];
        const [port, unit] = [numberIn(device, 'port'), numberIn(device, 'device')];
        const controller = bus === 'ide' ? `ide${port}:${unit}` : `${bus}${number}:${port}`;
        return [{ bus, controller, uuid: uuidOf(image) }];
      });
  });
  return found.sort(
    (a, b) => BUSES.indexOf(a.bus) - BUSES.indexOf(b.bus) || compareNames(a.controller, b.controller),
  );
}

function nicsOf(hardware: XmlElement): Nic[] {
  return childrenNamed(hardware, 'Network')
    .flatMap((network) => childrenNamed(network, 'Adapter'))
    .filter(({ attributes }) => attributes.get('enabled') === 'true')
    .sort((a, b) => numberIn(a, 'slot') - numberIn(b, 'slot'))
    .map(({ attributes, children }) => {
      const digits = (attributes.get('MACAddress') ?? '').toLowerCase();
      const connection = children.find(({ name }) => name !== 'DisabledModes');
      return {
        mac: /^[0-9a-f]{12}$/.test(digits) ? digits.match(/../g)!.join(':') : null,
        network: connection?.attributes.get('name') ?? null,
        model: attributes.get('type') ?? null,
      };
    });
}

function uuidOf({ attributes }: XmlElement): string {
  return (attributes.get('uuid') ?? '').replace(/[{}]/g, '').toLowerCase();
}

function numberIn({ attributes }: XmlElement, name: string): number {
  const text = attributes.get(name) ?? '';
  return /^\d{1,4}$/.test(text) ? Number(text) : 0;
}

function positive(text: string | undefined): number | null {
  return text !== undefined && /^[1-9]\d{0,7}$/.test(text) ? Number(text) : null;
}
