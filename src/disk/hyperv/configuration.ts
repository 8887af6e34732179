import type { DescribedDisk, Description } from '../../model/description.js';
import type { Nic } from '../../model/hardware.js';
import { corrupt } from '../base/bytes.js';
import { compareNames } from '../base/names.js';
import { parseXml, type XmlElement } from '../ovf/xml.js';
import { type ConfigTree, type ConfigValue, parseStore } from './store.js';

/** The kinds of virtual devices that the manifest lists. */
const IDE = '83f8638b-8dca-4152-9eda-2ca8b33039b4';
const SCSI = 'd422512d-2bf2-4752-809d-7b82b5fcb1b4';
/** `settings.memory.bank.size` and `processors.count` beyond these are not a VM's. */
const MAX_MEMORY_MIB = 2 ** 26;
const MAX_VCPUS = 4096;

/** A VM's configuration, or that of a checkpoint, which is an older state. */
export type HyperVConfiguration = Description & { isCheckpoint: boolean };

/** Parses a `.vmcx`. Throws `fetch.corrupt`, `fetch.unsupported`. */
export function parseVmcx(bytes: Buffer): HyperVConfiguration {
  const configuration = parseStore(bytes).get('configuration');
  if (!(configuration instanceof Map)) throw corrupt('the .vmcx has no configuration');
  return describe(configuration);
}

/**
 * Parses the XML that Hyper-V wrote before 2016. Returns null for XML of another kind. Throws `fetch.corrupt`.
 */
export function parseHyperVXml(bytes: Buffer): HyperVConfiguration | null {
  const root = parseXml(bytes);
  if (root.name !== 'configuration') return null;
  const configuration = treeOf(root);
  return configuration.has('properties') && configuration.has('manifest') ? describe(configuration) : null;
}

/** An element with a type is a value, one without is a node. */
function treeOf(element: XmlElement): ConfigTree {
  return new Map(
    element.children.map((child): [string, ConfigTree | ConfigValue] => [
      child.name,
      child.attributes.has('type') ? valueIn(child) : treeOf(child),
    ]),
  );
}

function valueIn({ attributes, text }: XmlElement): ConfigValue {
  const type = attributes.get('type');
  if (type === 'integer') return Number(text);
  return type === 'bool' || type === 'boolean' ? text.toLowerCase() === 'true' : text;
}

function describe(configuration: ConfigTree): HyperVConfiguration {
  const properties = node(configuration, 'properties');
  const settings = node(configuration, 'settings');
  const devices = devicesOf(configuration);
  const warnings: string[] = [];
  const disks = disksOf(devices, warnings);
  return {
    isCheckpoint: /snapshot/i.test(string(properties, 'type_id') ?? ''),
    hardware: {
      name: string(properties, 'name'),
      memory_mib: count(node(node(settings, 'memory'), 'bank'), 'size', MAX_MEMORY_MIB),
      vcpus: count(node(settings, 'processors'), 'count', MAX_VCPUS),
      // The generation, from 0. Only the first one has a BIOS, and before 2012 R2 there was no other.
      firmware: properties.get('subtype') === 1 ? 'uefi' : 'bios',
      nics: devices.flatMap(({ tree }) => nicOf(tree)),
      os_hint: null,
    },
    disks,
    files: disks.map(({ file }) => file!),
    warnings,
  };
}

interface Device {
  /** The GUID of its kind, in lower case. */
  kind: string;
  tree: ConfigTree;
}

/** Returns the VM's devices in the order of the manifest (`vdev001`, …), each with its settings. */
function devicesOf(configuration: ConfigTree): Device[] {
  const settings = new Map([...configuration].map(([name, value]) => [name.toLowerCase(), value]));
  return [...node(configuration, 'manifest')]
    .filter(([name]) => /^vdev\d+$/.test(name))
    .sort(([a], [b]) => compareNames(a, b))
    .flatMap(([, entry]) => {
      if (!(entry instanceof Map)) return [];
      const kind = string(entry, 'device')?.toLowerCase() ?? '';
      const tree = settings.get(`_${string(entry, 'instance')?.toLowerCase() ?? ''}_`);
      return tree instanceof Map ? [{ kind, tree }] : [];
    });
}

/** IDE comes first: a VM of the first generation can only start from there, one of the second has none. */
function disksOf(devices: readonly Device[], warnings: string[]): DescribedDisk[] {
  const on = (kind: string) => devices.filter((device) => device.kind === kind);
  const ide = on(IDE).flatMap(({ tree }) =>
    numbered(tree, 'controller').flatMap(([controller, drives]) =>
      drivesOf(drives, `ide${controller}`, warnings),
    ),
  );
  const scsi = on(SCSI).flatMap(({ tree }, controller) =>
    numbered(tree, 'controller').flatMap(([, drives]) => drivesOf(drives, `scsi${controller}`, warnings)),
  );
  return [...ide, ...scsi];
}

function drivesOf(controller: ConfigTree, name: string, warnings: string[]): DescribedDisk[] {
  return numbered(controller, 'drive').flatMap(([drive, tree]) => {
    const file = string(tree, 'pathname') ?? '';
    const type = string(tree, 'type')?.toUpperCase();
    if (file === '' || type === 'ISO' || type === 'VFD' || type === 'NONE') return [];
    const place = `${name}:${drive}`;
    if (type === 'VHD') return [{ controller: place, file, capacity: null, format: null }];
    warnings.push(`the VM has a disk of the host at ${place}, which is not a file: it is left out`);
    return [];
  });
}

/** Returns the nodes `controller0`, `controller1`, … in the order of their numbers. */
function numbered(tree: ConfigTree, prefix: string): [number, ConfigTree][] {
  return [...tree]
    .flatMap(([name, value]): [number, ConfigTree][] => {
      const number = name.startsWith(prefix) ? name.slice(prefix.length) : '';
      return /^\d{1,4}$/.test(number) && value instanceof Map ? [[Number(number), value]] : [];
    })
    .sort(([a], [b]) => a - b);
}

/** Every device with a MAC is a network card, also the emulated one for old guests. */
function nicOf(tree: ConfigTree): Nic[] {
  const written = string(tree, 'MacAddress');
  if (written === null) return [];
  const digits = written.replace(/[:-]/g, '').toLowerCase();
  // Zeros until the VM's first start.
  const isKnown = /^[0-9a-f]{12}$/.test(digits) && !/^0+$/.test(digits);
  const network = string(node(tree, 'Connection'), 'AltSwitchName');
  return [
    {
      mac: isKnown ? digits.match(/../g)!.join(':') : null,
      network: network === '' ? null : network,
      model: null,
    },
  ];
}

function node(tree: ConfigTree, name: string): ConfigTree {
  const found = tree.get(name);
  return found instanceof Map ? found : new Map();
}

function string(tree: ConfigTree, name: string): string | null {
  const found = tree.get(name);
  return typeof found === 'string' ? found : null;
}

function count(tree: ConfigTree, name: string, most: number): number | null {
  const found = tree.get(name);
  return typeof found === 'number' && Number.isInteger(found) && found > 0 && found <= most ? found : null;
}
