import type { DescribedDisk } from '../../model/description.js';
import { printable } from '../../text/escape-terminal.js';
import { corrupt, unsupported } from '../base/bytes.js';
import { MAX_VIRTUAL_SIZE } from '../base/format.js';
import { compareNames } from '../base/names.js';
import { field, type Item, isTrue, sections } from './sections.js';
import { bytesPerUnit } from './units.js';
import { childrenNamed, type XmlElement } from './xml.js';

/** CIM_ResourceAllocationSettingData.ResourceType. */
const IDE = '5';
const SCSI = '6';
const DISK = '17';
/** "Other storage device": SATA, and NVMe by its subtype. */
const STORAGE = '20';
/** VMware's default boot order. */
const BUS_ORDER = ['scsi', 'sata', 'nvme', 'ide'];

type Content = Omit<DescribedDisk, 'controller'>;

/**
 * Returns the VM's disks in the order of controllers and units; if the OVF has no devices for them, in the
 * order of its disk section. `files` maps ids to file names. Throws `fetch.corrupt`, `fetch.unsupported`.
 */
export function readDisks(
  envelope: XmlElement,
  items: readonly Item[],
  files: ReadonlyMap<string, string>,
): DescribedDisk[] {
  const described = new Map(
    sections(envelope, 'DiskSection')
      .flatMap((section) => childrenNamed(section, 'Disk'))
      .map((disk) => [disk.attributes.get('diskId') ?? '', disk]),
  );
  const content = (disk: XmlElement) => contentOf(disk, envelope, files);
  const drives = items.filter(({ type }) => type === DISK);
  if (drives.length === 0)
    return [...described.values()].map((disk) => ({ controller: null, ...content(disk) }));
  const place = placesOf(items);
  const disks = drives.map(({ element }) => {
    const resource = field(element, 'HostResource') ?? '';
    const [, kind, id = ''] = /^(?:ovf:)?\/*(?:(disk|file)\/)?(.*)$/.exec(resource) ?? [];
    const controller = place(element);
    const file = kind === 'file' ? files.get(id) : undefined;
    if (file !== undefined) return { disk: null, controller, file, capacity: null, format: null };
    // oVirt writes the group before the disk.
    const disk = described.get(id) ?? described.get(id.slice(id.lastIndexOf('/') + 1));
    if (disk === undefined)
      throw corrupt(`the OVF has no disk or file for its device “${printable(resource)}”`);
    return { disk, controller, ...content(disk) };
  });
  const rank = (controller: string | null) =>
    controller === null ? BUS_ORDER.length : BUS_ORDER.indexOf(controller.replace(/\d.*$/, ''));
  const isBoot = (disk: XmlElement | null) => (isTrue(disk?.attributes.get('boot')) ? 0 : 1);
  return disks
    .sort(
      (a, b) =>
        isBoot(a.disk) - isBoot(b.disk) ||
        rank(a.controller) - rank(b.controller) ||
        compareNames(a.controller ?? '', b.controller ?? ''),
    )
    .map(({ disk: _disk, ...rest }) => rest);
}

function contentOf(disk: XmlElement, envelope: XmlElement, files: ReadonlyMap<string, string>): Content {
  const { attributes } = disk;
  if (attributes.get('parentRef'))
    throw unsupported(
      'the OVF has a disk that is stored as the difference from another one (parentRef)',
      'Export the VM with whole disks (without its snapshots).',
    );
  const reference = attributes.get('fileRef') ?? '';
  const volume = attributes.get('volume-format')?.toUpperCase();
  const format = volume === 'COW' ? 'qcow2' : volume === 'RAW' ? 'raw' : null;
  if (reference === '') return { file: null, capacity: capacityOf(disk, envelope), format: null };
  const file = files.get(reference) ?? files.get(attributes.get('diskId') ?? '');
  if (file === undefined) throw corrupt('a disk of the OVF refers to a file that it does not list');
  return { file, capacity: null, format };
}

/** Returns the capacity of a disk without a file, which importers create empty. */
function capacityOf({ attributes }: XmlElement, envelope: XmlElement): number {
  const units = attributes.get('capacityAllocationUnits') ?? 'byte';
  const written = attributes.get('capacity');
  // oVirt's own attribute, in GiB.
  const text = written === undefined ? attributes.get('size') : propertyOr(written, envelope);
  const unit = written === undefined ? 2 ** 30 : bytesPerUnit(units);
  const capacity = /^\d{1,18}$/.test(text ?? '') && unit !== null ? Number(text) * unit : 0;
  if (capacity > 0 && capacity <= MAX_VIRTUAL_SIZE) return capacity;
  throw corrupt(
    `an empty disk of the OVF has no usable capacity (“${printable(`${written ?? ''} ${units}`.trim(), 40)}”)`,
  );
}

/** Resolves `${disk.size}` to the default of the property with that key (DSP0243, 9.1). */
function propertyOr(text: string, envelope: XmlElement): string | undefined {
  const [, key] = /^\$\{(.+)\}$/.exec(text) ?? [];
  return key === undefined ? text : propertyIn(envelope, key);
}

function propertyIn(element: XmlElement, key: string): string | undefined {
  for (const child of element.children) {
    if (child.name === 'Property' && child.attributes.get('key') === key)
      return child.attributes.get('value');
    const found = propertyIn(child, key);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Returns a function that gives a drive's position: `scsi0:1`; null if its parent is not a controller. */
function placesOf(items: readonly Item[]): (drive: XmlElement) => string | null {
  const controllers = items.flatMap(({ element, type, id }) => {
    const bus = busOf(type, element);
    return bus === null ? [] : [{ id, bus, address: field(element, 'Address') }];
  });
  const names = new Map<string, string>();
  for (const bus of BUS_ORDER) {
    const own = controllers.filter((controller) => controller.bus === bus);
    const numbers = own.map(({ address }) => (/^\d{1,3}$/.test(address ?? '') ? Number(address) : null));
    const isNumbered = !numbers.includes(null) && new Set(numbers).size === own.length;
    for (const [position, { id }] of own.entries())
      names.set(id, `${bus}${isNumbered ? numbers[position] : position}`);
  }
  return (drive) => {
    const name = names.get(field(drive, 'Parent') ?? '');
    return name === undefined ? null : `${name}:${field(drive, 'AddressOnParent') ?? '0'}`;
  };
}

function busOf(type: string, element: XmlElement): string | null {
  if (type === IDE) return 'ide';
  if (type === SCSI) return 'scsi';
  if (type !== STORAGE) return null;
  return /nvme/i.test(field(element, 'ResourceSubType') ?? '') ? 'nvme' : 'sata';
}
