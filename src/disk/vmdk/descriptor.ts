import { printable } from '../../text/escape-terminal.js';
import { corrupt, unsupported } from '../base/bytes.js';
import {
  type DiskImage,
  type ExtentReference,
  MAX_DESCRIPTOR,
  MAX_VIRTUAL_SIZE,
  SECTOR,
} from '../base/format.js';
import { decodeText } from '../base/text.js';

/** VMDK's text descriptor ("Virtual Disk Format 5.0", VMware 2011, section "The Descriptor File"). */
export interface Descriptor {
  createType: string;
  /** Lower-case hexadecimal without leading zeros. */
  contentId: string;
  /** Null if parentCID is ffffffff. */
  parentId: string | null;
  parentHint: string | null;
  /** 32 lower-case hexadecimal digits: VMware's `ddb.uuid`, VirtualBox's `ddb.uuid.image`. */
  uuid: string | null;
  extents: DescriptorExtent[];
}
interface DescriptorExtent {
  access: string;
  sectors: number;
  kind: keyof typeof TYPES;
  name: string;
  /** In sectors for FLAT; otherwise 0. */
  offset: number;
}

const NO_PARENT = 'ffffffff';
const ENCODING = /^[ \t]*encoding\s*=\s*"?([A-Za-z0-9_:.-]{1,40})"?\s*$/m;
const MAX_EXTENTS = 4096;
// The flag `s` is needed because a line may contain Unicode line ends: without it, each space before one
// would be tried as the last.
const EXTENT =
  /^(RW|RDONLY|NOACCESS)\s+(\d{1,16})\s+([A-Z0-9]+)(?:\s+"([^"]*)"(?:\s+(\d{1,16}))?(?:\s+.*)?)?$/s;

export function looksLikeDescriptor(head: Buffer): boolean {
  return /^\ufeff?\s*#\s*Disk\s*DescriptorFile\s*[\r\n]/i.test(head.subarray(0, 256).toString('utf8'));
}

/**
 * Parses the text. Throws `fetch.corrupt` if it is not a descriptor, `fetch.unsupported` if it lists what
 * QEMU would silently skip.
 */
export function parseDescriptor(bytes: Buffer): Descriptor {
  if (bytes.length > MAX_DESCRIPTOR)
    throw corrupt(`the descriptor has ${bytes.length} bytes, more than 1 MiB`);
  const own = beforeNul(bytes);
  const text = decodeText(own, ENCODING);
  const settings = new Map<string, string>();
  const extents: DescriptorExtent[] = [];
  for (const rawLine of text.split(/\r\n|\n|\r/)) {
    const line = rawLine.trim();
    if (line === '' || line.startsWith('#')) continue;
    if (/^(RW|RDONLY|NOACCESS)\s/.test(line)) {
      if (extents.length >= MAX_EXTENTS)
        throw corrupt(`the descriptor lists more than ${MAX_EXTENTS} extents`);
      extents.push(parseExtent(line));
      continue;
    }
    const setting = /^([A-Za-z0-9_.:-]+)\s*=\s*(.*)$/s.exec(line);
    if (setting === null)
      throw corrupt(`the descriptor's line “${printable(line, 80)}” is neither a setting nor an extent`);
    const key = setting[1]!.toLowerCase();
    // Two tools that use different ones of the two values would see two different disks.
    if (settings.has(key)) throw corrupt(`the descriptor sets ${printable(key)} twice`);
    settings.set(key, unquote(setting[2]!));
  }
  const contentId = settings.get('cid');
  const createType = settings.get('createtype');
  if (createType === undefined || contentId === undefined)
    throw corrupt('the descriptor has no createType or no CID');
  if (extents.length === 0) throw corrupt('the descriptor lists no extents');
  const parentId = hexadecimal(settings.get('parentcid') ?? NO_PARENT, 'parentCID');
  const parentHint = settings.get('parentfilenamehint') ?? null;
  if (parentId === NO_PARENT && parentHint !== null && parentHint !== '')
    throw corrupt('the descriptor names a parent file but no parentCID');
  return {
    createType,
    contentId: hexadecimal(contentId, 'CID'),
    parentId: parentId === NO_PARENT ? null : parentId,
    parentHint: parentHint === '' ? null : parentHint,
    uuid: uuidOf(
      settings.get('ddb.uuid') ?? settings.get('ddb.uuid.image') ?? uuidBehind(bytes.subarray(own.length)),
    ),
    extents,
  };
}

function parseExtent(line: string): DescriptorExtent {
  const match = EXTENT.exec(line);
  if (match === null) throw corrupt(`the extent line “${printable(line, 80)}” cannot be read`);
  const [, access, sectorText, kind, name, offset] = match as unknown as [
    string,
    string,
    string,
    string,
    string?,
    string?,
  ];
  const sectors = Number(sectorText);
  if (!Number.isSafeInteger(sectors * SECTOR) || sectors === 0)
    throw corrupt('an extent line declares an impossible number of sectors');
  // QEMU skips lines of other kinds or without RW: all data after them would be at the wrong offset.
  if (kind === 'VMFSRDM' || kind === 'VMFSRAW') {
    throw unsupported(
      'the disk is a raw device mapping: its data are not in the file',
      'Clone it on the ESXi host with `vmkfstools -i disk.vmdk new.vmdk -d thin`, and drop the clone.',
    );
  }
  if (!isKnown(kind)) {
    throw unsupported(
      `the descriptor has an extent of type ${printable(kind, 20)}`,
      'Convert it first: `vmware-vdiskmanager -r disk.vmdk -t 0 new.vmdk`, and drop the result.',
    );
  }
  if (access === 'NOACCESS')
    throw unsupported('the descriptor has an extent without access', 'Export the disk again.');
  if (name === undefined || name === '') throw corrupt('an extent line has no file name');
  if (kind === 'FLAT' && offset === undefined) throw corrupt('a FLAT extent line has no offset');
  const start = kind === 'FLAT' || kind === 'VMFS' ? Number(offset ?? 0) : 0;
  if (!Number.isSafeInteger(start * SECTOR)) throw corrupt('an extent line declares an impossible offset');
  return { access, sectors, kind, name, offset: start };
}

const TYPES = {
  FLAT: 'flat',
  VMFS: 'flat',
  SPARSE: 'sparse',
  VMFSSPARSE: 'sparse',
  SESPARSE: 'sesparse',
} as const;

function isKnown(kind: string): kind is DescriptorExtent['kind'] {
  return Object.hasOwn(TYPES, kind);
}

/**
 * Returns the image that a descriptor describes. `embedded`: the descriptor is in the sparse file that it
 * lists as its only extent.
 */
export function descriptorImage(descriptor: Descriptor, embedded: boolean): DiskImage {
  const sectors = descriptor.extents.reduce((sum, extent) => sum + extent.sectors, 0);
  if (sectors * SECTOR > MAX_VIRTUAL_SIZE) throw corrupt('the disk is larger than 1 PiB');
  return {
    format: 'vmdk',
    variant: descriptor.createType,
    role: 'disk',
    virtualSize: sectors * SECTOR,
    contentId: descriptor.contentId,
    ...(descriptor.uuid === null ? {} : { uuid: descriptor.uuid }),
    parent:
      descriptor.parentId === null
        ? null
        : { name: descriptor.parentHint, contentId: descriptor.parentId, format: 'vmdk' },
    extents: embedded ? [] : descriptor.extents.map(extentReference),
  };
}

function extentReference(extent: DescriptorExtent): ExtentReference {
  return {
    name: extent.name,
    type: TYPES[extent.kind],
    size: extent.sectors * SECTOR,
    offset: extent.offset * SECTOR,
  };
}

/**
 * Returns the bytes before the first NUL. The text is a C string: padded with zeros up to its sectors, and
 * QEMU leaves an old end after the NUL when it writes a shorter CID.
 */
export function beforeNul(bytes: Buffer): Buffer {
  const end = bytes.indexOf(0);
  return end < 0 ? bytes : bytes.subarray(0, end);
}

/** A UUID that was written after the text's zero padding; empty if there is none. */
function uuidBehind(padding: Buffer): string {
  const lines = padding.toString('latin1').split(/[\0\r\n]+/);
  const line = lines.find((text) => text.startsWith('ddb.uuid')) ?? '';
  return /^ddb\.uuid *= *("[^"]*")$/.exec(line)?.[1]?.slice(1, -1) ?? '';
}

/** `60 00 C2 9a …-… aa` or `xxxxxxxx-xxxx-…`; null if it is not a UUID; nothing depends on it. */
function uuidOf(value: string): string | null {
  const digits = value.replace(/[\s-]/g, '').toLowerCase();
  return /^[0-9a-f]{32}$/.test(digits) ? digits : null;
}

function unquote(value: string): string {
  const match = /^"(.*)"$/.exec(value.trim());
  return match === null ? value.trim() : match[1]!;
}

function hexadecimal(value: string, what: string): string {
  if (!/^[0-9a-fA-F]{1,8}$/.test(value)) throw corrupt(`${what} is not a 32-bit hexadecimal number`);
  return Number.parseInt(value, 16).toString(16);
}
