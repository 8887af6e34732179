import type { InfRegistry } from './add-registry.js';
import { bestSection, type WindowsTarget } from './decoration.js';
import { copiedFiles, type InfFile } from './files.js';
import { type InfSections, parseInf } from './sections.js';
import { addRegistry, directives, type InfService, servicesOf } from './services.js';

/**
 * What a driver package's INF file says for one Windows (Microsoft, "INF File Sections and Directives"). Use:
 *
 *     const driver = readDriverInf(bytes, { architecture: 'amd64', version: [10, 0], build: 19045,
 *       product: 'workstation' });
 *     driver.devices[0]?.install.services[0]?.binary;      // { directory: 12, path: 'viostor.sys' }
 *
 * An INF is the operator's file, and read as untrusted all the same: `guest.inf-invalid` for what is none.
 */
export interface DriverInf {
  className: string | null;
  /** In upper case with braces. */
  classGuid: string | null;
  provider: string | null;
  /** Date of DriverVer as `YYYY-MM-DD`, and its version, four numbers; null where the INF has none. */
  driverVersion: { date: string; version: string } | null;
  /** Name of the catalogue for this architecture. */
  catalog: string | null;
  /** Empty where the INF has nothing for this Windows. */
  devices: InfDevice[];
}

interface InfDevice {
  description: string;
  manufacturer: string;
  /** Hardware ids in the order of the line: the place of one is its index and 1. In upper case. */
  ids: string[];
  install: InfInstall;
}

/** What an install section does, with those of this INF that it needs. */
interface InfInstall {
  /** With its decoration, in lower case. */
  section: string;
  files: InfFile[];
  services: InfService[];
  /** Below the device's software key (`Control\Class\{…}\NNNN`). */
  registry: InfRegistry[];
  /** Below the device's instance (`Device Parameters`). */
  hardware: InfRegistry[];
  /** Windows' own INF files that it builds on: their sections are not here. */
  includes: string[];
}

/** Real packages have some dozens; a hostile file repeats a line for each section. */
const MAX_DEVICES = 10_000;
const MAX_NEEDED = 64;

/** Throws `guest.inf-invalid`. */
export function readDriverInf(bytes: Buffer, target: WindowsTarget): DriverInf {
  const inf = parseInf(bytes);
  const version = (key: string) => inf.fields('Version', key)?.[0] || null;
  const catalogs = [`CatalogFile.NT${target.architecture}`, 'CatalogFile.NT', 'CatalogFile'];
  return {
    className: version('Class'),
    classGuid: version('ClassGuid')?.toUpperCase() ?? null,
    provider: version('Provider'),
    driverVersion: driverVersionOf(inf.fields('Version', 'DriverVer') ?? []),
    catalog: catalogs.map(version).find((name) => name !== null) ?? null,
    devices: devicesOf(inf, target),
  };
}

/** `mm/dd/yyyy,w.x.y.z`; parts of the version that are missing are 0. */
function driverVersionOf([date = '', version = '']: readonly string[]): DriverInf['driverVersion'] {
  const [, month, day, year] = /^(\d{1,2})[/-](\d{1,2})[/-](\d{4})$/.exec(date) ?? [];
  if (month === undefined || day === undefined || year === undefined) return null;
  const parts = version === '' ? [] : version.split('.');
  if (parts.length > 4 || parts.some((part) => !/^\d{1,5}$/.test(part))) return null;
  const numbers = Array.from({ length: 4 }, (_, index) => Number(parts[index] ?? 0));
  return { date: `${year}-${month.padStart(2, '0')}-${day.padStart(2, '0')}`, version: numbers.join('.') };
}

function devicesOf(inf: InfSections, target: WindowsTarget): InfDevice[] {
  const devices: InfDevice[] = [];
  const installs = new Map<string, InfInstall | null>();
  for (const { key, fields } of inf.lines('Manufacturer') ?? []) {
    const [models = key ?? '', ...decorations] = fields;
    const section = modelsSection(inf, models, decorations, target);
    for (const line of section === null ? [] : (inf.lines(section) ?? [])) {
      const [name = '', ...ids] = line.fields;
      if (line.key === null || name === '' || devices.length >= MAX_DEVICES) continue;
      const known = installs.get(name);
      const install = known === undefined ? installOf(inf, name, target) : known;
      installs.set(name, install);
      if (install === null) continue;
      const wanted = ids.filter((id) => id !== '').map((id) => id.toUpperCase());
      devices.push({ description: line.key, manufacturer: key ?? models, ids: wanted, install });
    }
  }
  return devices;
}

/** Only decorations that the line of [Manufacturer] names count. */
function modelsSection(
  inf: InfSections,
  models: string,
  decorations: readonly string[],
  target: WindowsTarget,
): string | null {
  const named = [models, ...decorations.map((decoration) => `${models}.${decoration}`)];
  const names = new Set(named.map((name) => name.toLowerCase()).filter((name) => inf.names.has(name)));
  return bestSection(names, models, target, 'x86');
}

function installOf(inf: InfSections, name: string, target: WindowsTarget): InfInstall | null {
  const section = bestSection(inf.names, name, target, 'all');
  if (section === null) return null;
  // Each of its sections names by itself what it needs.
  const each = <T>(suffix: string, read: (section: string) => T[]): T[] =>
    withNeeded(inf, `${section}${suffix}`).flatMap(read);
  const files = (part: string) => copyFiles(inf, part, target);
  return {
    section,
    files: [...each('', files), ...each('.coinstallers', files)],
    services: each('.services', (part) => servicesOf(inf, part)),
    registry: each('', (part) => addRegistry(inf, part)),
    hardware: each('.hw', (part) => addRegistry(inf, part)),
    includes: ['', '.services', '.hw', '.coinstallers'].flatMap((suffix) =>
      each(suffix, (part) => directives(inf, part, 'Include')),
    ),
  };
}

const copyFiles = (inf: InfSections, section: string, target: WindowsTarget): InfFile[] =>
  directives(inf, section, 'CopyFiles').flatMap((field) => copiedFiles(inf, field, target));

/** The section and those that `Needs` names, as far as they are in this file. */
function withNeeded(inf: InfSections, section: string): string[] {
  const sections = [section];
  for (const current of sections) {
    for (const needed of directives(inf, current, 'Needs').map((name) => name.toLowerCase())) {
      if (sections.length >= MAX_NEEDED || sections.includes(needed) || !inf.names.has(needed)) continue;
      sections.push(needed);
    }
  }
  return sections;
}
