import { Hyper2kvmError } from '../../errors/error.js';
import type { Description } from '../../model/description.js';
import type { Hardware } from '../../model/hardware.js';
import { corrupt, unsupported } from '../base/bytes.js';
import { compareNames, siblingName } from '../base/names.js';
import { compressionOf } from '../compression.js';
import { childrenNamed, parseXml, type XmlElement } from './xml.js';

/** CIM_ResourceAllocationSettingData.ResourceType. */
const RESOURCE = { cpu: '3', memory: '4', ide: '5', scsi: '6', ethernet: '10', disk: '17', sata: '20' };
const BUS: Record<string, string> = {
  [RESOURCE.ide]: 'ide',
  [RESOURCE.scsi]: 'scsi',
  [RESOURCE.sata]: 'sata',
};
const BUS_ORDER = ['scsi', 'sata', 'ide'];

/**
 * Parses an OVF descriptor (DMTF DSP0243) of one VM. `files` are all plain names under References. Throws `fetch.corrupt`,
 * `fetch.unsupported`, `fetch.several-vms`, `fetch.refused-reference`.
 */
export function parseOvf(bytes: Buffer): Description & { files: string[] } {
  const envelope = parseXml(bytes);
  if (envelope.name !== 'Envelope') throw corrupt('the .ovf is no OVF envelope');
  if (
    childrenNamed(envelope, 'VirtualSystemCollection').length > 0 ||
    childrenNamed(envelope, 'VirtualSystem').length > 1
  ) {
    throw new Hyper2kvmError('fetch.several-vms', 'the OVF describes several VMs', {
      advice: 'Export each VM on its own.',
    });
  }
  const system = childrenNamed(envelope, 'VirtualSystem')[0];
  const hardware = childrenNamed(system, 'VirtualHardwareSection')[0];
  const items = (hardware?.children ?? [])
    .filter(({ name }) => name === 'Item' || name === 'StorageItem' || name === 'EthernetPortItem')
    .map((element) => ({ element, type: field(element, 'ResourceType') ?? '' }));
  const files = references(envelope);
  const quantity = (type: string) => items.find((item) => item.type === type)?.element;
  const os = childrenNamed(system, 'OperatingSystemSection')[0];
  return {
    hardware: {
      name: field(system, 'Name') ?? system?.attributes.get('id') ?? null,
      memory_mib: memoryMib(quantity(RESOURCE.memory)),
      vcpus: integer(field(quantity(RESOURCE.cpu), 'VirtualQuantity')),
      firmware: firmwareOf(hardware),
      nics: items.filter(({ type }) => type === RESOURCE.ethernet).map(({ element }) => readNic(element)),
      os_hint: os?.attributes.get('osType') ?? field(os, 'Description'),
    },
    disks: readDisks(envelope, items, files),
    files: [...files.values()],
  };
}

function field(element: XmlElement | undefined, name: string): string | null {
  const text = childrenNamed(element, name)[0]?.text ?? '';
  return text === '' ? null : text;
}

/** File id to plain name. */
function references(envelope: XmlElement): Map<string, string> {
  const files = new Map<string, string>();
  for (const file of childrenNamed(childrenNamed(envelope, 'References')[0], 'File')) {
    const id = file.attributes.get('id') ?? '';
    if (file.attributes.has('chunkSize'))
      throw unsupported('the OVF splits its disks into chunks', 'Export the VM as one OVA.');
    if (files.has(id)) throw corrupt('the OVF has two files of one id');
    const name = siblingName(file.attributes.get('href') ?? '', 'exact', 'the .ovf');
    const compression = file.attributes.get('compression') ?? 'identity';
    if (compression !== 'identity' && compressionOf(name)?.compression.name !== compression)
      throw unsupported(
        'the OVF compresses a disk whose name does not say so',
        'Export the VM without compression, or unpack the disk and remove the compression attribute.',
      );
    files.set(id, name);
  }
  return files;
}

function readDisks(
  envelope: XmlElement,
  items: readonly { element: XmlElement; type: string }[],
  files: ReadonlyMap<string, string>,
): Description['disks'] {
  const fileOf = new Map<string, string>();
  for (const disk of childrenNamed(childrenNamed(envelope, 'DiskSection')[0], 'Disk')) {
    const reference = disk.attributes.get('fileRef');
    // Without a file it is an empty disk that the importer would make.
    if (reference === undefined) continue;
    const file = files.get(reference);
    if (file === undefined) throw corrupt('a disk of the OVF refers to a file that it does not list');
    fileOf.set(disk.attributes.get('diskId') ?? '', file);
  }
  const controllers = new Map(
    items.flatMap(({ element, type }) =>
      BUS[type] === undefined
        ? []
        : [[field(element, 'InstanceID') ?? '', { bus: BUS[type], element }] as const],
    ),
  );
  const numbers = new Map<string, number>();
  const used: Record<string, number> = {};
  for (const [id, { bus }] of controllers) {
    numbers.set(id, used[bus] ?? 0);
    used[bus] = (used[bus] ?? 0) + 1;
  }
  const disks = items.flatMap(({ element, type }) => {
    if (type !== RESOURCE.disk) return [];
    const file = fileOf.get((field(element, 'HostResource') ?? '').replace(/^(ovf:)?\/*disk\//, ''));
    if (file === undefined) return [];
    const parent = field(element, 'Parent') ?? '';
    const bus = controllers.get(parent)?.bus;
    return [
      {
        file,
        controller:
          bus === undefined
            ? null
            : `${bus}${numbers.get(parent)}:${field(element, 'AddressOnParent') ?? '0'}`,
      },
    ];
  });
  // Some exporters leave the hardware out: then the order of the disk section counts.
  if (disks.length === 0) return [...fileOf.values()].map((file) => ({ file, controller: null }));
  const rank = (controller: string | null) =>
    controller === null ? BUS_ORDER.length : BUS_ORDER.indexOf(controller.replace(/\d.*$/, ''));
  return disks.sort(
    (a, b) => rank(a.controller) - rank(b.controller) || compareNames(a.controller ?? '', b.controller ?? ''),
  );
}

function readNic(element: XmlElement): Hardware['nics'][number] {
  const mac = field(element, 'Address') ?? field(element, 'MACAddress') ?? '';
  return {
    mac: /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(mac) ? mac.toLowerCase() : null,
    network: field(element, 'Connection'),
    model: field(element, 'ResourceSubType'),
  };
}

function memoryMib(element: XmlElement | undefined): number | null {
  const quantity = integer(field(element, 'VirtualQuantity'));
  if (quantity === null) return null;
  const units = (field(element, 'AllocationUnits') ?? 'byte * 2^20').toLowerCase().replace(/\s/g, '');
  const power = /^byte\*2\^(\d+)$/.exec(units);
  if (power !== null) return Math.floor(quantity * 2 ** (Number(power[1]) - 20)) || null;
  const names: Record<string, number> = { megabytes: 0, mb: 0, gigabytes: 10, gb: 10 };
  return quantity * 2 ** (names[units] ?? 0);
}

/** VMware's `vmw:Config` (or `vmw:ExtraConfig`) with the key `firmware`. */
function firmwareOf(hardware: XmlElement | undefined): Hardware['firmware'] {
  const setting = hardware?.children.find(({ attributes }) => attributes.get('key') === 'firmware');
  const value = setting?.attributes.get('value')?.toLowerCase();
  return value === 'efi' ? 'uefi' : value === 'bios' ? 'bios' : null;
}

function integer(text: string | null): number | null {
  return text !== null && /^\d{1,9}$/.test(text) && Number(text) > 0 ? Number(text) : null;
}
