import type { Description } from '../../model/description.js';
import type { Hardware } from '../../model/hardware.js';
import { printable } from '../../text/escape-terminal.js';
import { corrupt, unsupported } from '../base/bytes.js';
import { percentDecoded, referencedName } from '../base/names.js';
import { pieceName } from '../base/pieces.js';
import { compressionOf, mayBePacked } from '../compression.js';
import { readDisks } from './disks.js';
import { readNics } from './nics.js';
import { configurationOf, field, itemsOf, sections, systemOf } from './sections.js';
import { bytesPerUnit } from './units.js';
import { childrenNamed, parseXml, type XmlElement } from './xml.js';

export interface OvfOptions {
  /** Which of its deployment options applies; by default the one that the OVF chooses. */
  configuration?: string | undefined;
  /** The id or name of the VM, if there are several. */
  system?: string | undefined;
}

/** CIM_ResourceAllocationSettingData.ResourceType. */
const CPU = '3';
const MEMORY = '4';
const MIB = 2 ** 20;

/**
 * Parses an OVF descriptor of one VM (DMTF DSP0243, and older forms). Throws `fetch.corrupt`,
 * `fetch.unsupported`, `fetch.several-vms`, `fetch.refused-reference`, `fetch.unknown-configuration`.
 */
export function parseOvf(bytes: Buffer, { configuration, system: wanted }: OvfOptions = {}): Description {
  const envelope = parseEnvelope(bytes);
  const system = systemOf(envelope, wanted ?? null);
  const hardware = sections(system, 'VirtualHardwareSection')[0];
  const items = itemsOf(hardware, configurationOf(envelope, configuration ?? null));
  const files = references(envelope);
  const warnings: string[] = [];
  const chunked = chunkedFiles(envelope, files);
  const first = (type: string) => items.find((item) => item.type === type)?.element;
  const os = sections(system, 'OperatingSystemSection')[0];
  return {
    hardware: {
      name: field(system, 'Name') ?? system.attributes.get('id') ?? null,
      memory_mib: memoryMib(first(MEMORY), warnings),
      vcpus: vcpusOf(first(CPU)),
      firmware: firmwareOf(system, hardware),
      nics: readNics(system, items),
      os_hint: os?.attributes.get('osType') ?? field(os, 'Description'),
      ...(hasSecureBoot(system, hardware) ? { secure_boot: true } : {}),
    },
    disks: readDisks(envelope, items, files),
    files: [...files.values()],
    ...(chunked.length === 0 ? {} : { chunked }),
    warnings,
  };
}

/**
 * Returns the names of all files that an OVF refers to, for all VMs that it describes; for a file in pieces
 * those of the pieces. Throws `fetch.corrupt`, `fetch.unsupported`, `fetch.refused-reference`.
 */
export function referencedFiles(bytes: Buffer): string[] {
  const envelope = parseEnvelope(bytes);
  const names = references(envelope);
  let left = MAX_PIECES;
  return filesOf(envelope).flatMap(({ attributes }) => {
    const name = names.get(attributes.get('id') ?? '')!;
    const chunk = integer(attributes.get('chunkSize') ?? null);
    const size = integer(attributes.get('size') ?? null);
    const pieces = chunk === null || size === null ? Number.NaN : Math.ceil(size / chunk);
    if (!(pieces <= left)) return [name];
    left -= pieces;
    return Array.from({ length: pieces }, (_, number) => pieceName(name, number));
  });
}

function chunkedFiles(
  envelope: XmlElement,
  files: ReadonlyMap<string, string>,
): NonNullable<Description['chunked']> {
  return filesOf(envelope).flatMap(({ attributes }) => {
    const size = attributes.has('chunkSize') ? integer(attributes.get('size') ?? null) : null;
    return size === null ? [] : [{ file: files.get(attributes.get('id') ?? '')!, size }];
  });
}

/** Of all files of an OVF together: FETCH refuses a drop with more files. */
const MAX_PIECES = 10_000;

const filesOf = (envelope: XmlElement) => childrenNamed(childrenNamed(envelope, 'References')[0], 'File');

function parseEnvelope(bytes: Buffer): XmlElement {
  const envelope = parseXml(bytes);
  if (envelope.name !== 'Envelope') throw corrupt('the .ovf is not an OVF envelope');
  return envelope;
}

/** Maps file ids to names. */
function references(envelope: XmlElement): Map<string, string> {
  const files = new Map<string, string>();
  for (const file of filesOf(envelope)) {
    const id = file.attributes.get('id') ?? '';
    if (files.has(id)) throw corrupt('the OVF has two files with the same id');
    const reference = percentDecoded(file.attributes.get('href') ?? '');
    const name = referencedName(reference, 'the .ovf');
    const compression = file.attributes.get('compression') ?? 'identity';
    const isInName = compressionOf(name)?.compression.name === compression;
    if (compression !== 'identity' && !isInName && !(compression === 'gzip' && mayBePacked(name)))
      throw unsupported(
        'the OVF has a compressed disk whose name does not show it',
        'Export the VM without compression, or unpack the disk and remove the compression attribute.',
      );
    files.set(id, reference);
  }
  return files;
}

function memoryMib(element: XmlElement | undefined, warnings: string[]): number | null {
  const quantity = integer(field(element, 'VirtualQuantity'));
  if (quantity === null) return null;
  const units = field(element, 'AllocationUnits') ?? 'byte * 2^20';
  const unit = bytesPerUnit(units);
  if (unit !== null) return Math.floor((quantity * unit) / MIB) || null;
  warnings.push(`the OVF gives the memory in an unknown unit, “${printable(units, 40)}”: it was ignored`);
  return null;
}

/** oVirt writes sockets and cores. */
function vcpusOf(element: XmlElement | undefined): number | null {
  const quantity = integer(field(element, 'VirtualQuantity'));
  const sockets = integer(field(element, 'num_of_sockets'));
  return quantity ?? (sockets === null ? null : sockets * (integer(field(element, 'cpu_per_socket')) ?? 1));
}

/**
 * Reads VMware's `vmw:Config` (or `vmw:ExtraConfig`) with the key `firmware`, VirtualBox's machine element,
 * or oVirt's BIOS type.
 */
function firmwareOf(system: XmlElement, hardware: XmlElement | undefined): Hardware['firmware'] {
  const setting = settingOf(hardware, 'firmware');
  const machine = childrenNamed(childrenNamed(system, 'Machine')[0], 'Hardware')[0];
  const virtualBox = childrenNamed(machine, 'Firmware')[0]?.attributes.get('type');
  const value = (setting ?? virtualBox)?.toLowerCase();
  if (value !== undefined) return value.startsWith('efi') ? 'uefi' : value === 'bios' ? 'bios' : null;
  // 3 and 4: Q35 with OVMF, without and with Secure Boot.
  const ovirt = field(system, 'BiosType');
  return ovirt === null ? null : ovirt === '3' || ovirt === '4' ? 'uefi' : 'bios';
}

/** The value of one of VMware's settings. */
function settingOf(hardware: XmlElement | undefined, key: string): string | undefined {
  return hardware?.children.find(({ attributes }) => attributes.get('key') === key)?.attributes.get('value');
}

function hasSecureBoot(system: XmlElement, hardware: XmlElement | undefined): boolean {
  const setting = settingOf(hardware, 'bootOptions.efiSecureBootEnabled');
  return setting?.toLowerCase() === 'true' || field(system, 'BiosType') === '4';
}

function integer(text: string | null): number | null {
  return text !== null && /^\d{1,15}$/.test(text) && Number(text) > 0 ? Number(text) : null;
}
