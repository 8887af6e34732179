import { dwordData, textData, textsData, type ValueData } from '../../../guest/registry/make-value.js';
import { REG } from '../../../guest/registry/value.js';
import type { DriverPackage, DriverService } from '../../../model/driver-set.js';

/** A value that Windows needs in SYSTEM; `key` counts from the hive's root. A `name` of '' is the default one. */
export interface WantedValue {
  key: string;
  name: string;
  after: ValueData;
}

const START_AT_BOOT = 0;
/** The group of all drivers of disk controllers: one that ServiceGroupOrder lacks may never be loaded. */
export const DISK_GROUP = 'SCSI miniport';

/** Returns the values of a disk driver's service, as its INF has them, but started at boot. Pure. */
export function serviceValues(services: string, service: DriverService, group: string): WantedValue[] {
  const key = `${services}\\${service.name}`;
  const text = (name: string, value: string | null): WantedValue[] =>
    value === null ? [] : [{ key, name, after: textData(value) }];
  return [
    { key, name: 'Type', after: dwordData(service.type) },
    { key, name: 'Start', after: dwordData(START_AT_BOOT) },
    { key, name: 'ErrorControl', after: dwordData(service.errorControl) },
    { key, name: 'ImagePath', after: textData(service.imagePath, REG.expandSz) },
    ...text('DisplayName', service.displayName),
    { key, name: 'Group', after: textData(group) },
    ...parameterValues(services, service),
  ];
}

/** Returns what the INF puts below its service's key (`Parameters\BusType` and more). Pure. */
function parameterValues(services: string, { name: service, values }: DriverService): WantedValue[] {
  return values.flatMap(({ key, name, type, data }) => {
    const path = [services, service, key].filter((part) => part !== '').join('\\');
    return name === null ? [] : [{ key: path, name, after: { type, data } }];
  });
}

/** Before Windows 8 (CriticalDeviceDatabase): which service a device gets before its driver is installed. */
export function criticalDeviceValues(set: string, driver: DriverPackage, service: string): WantedValue[] {
  return [...deviceIds(driver).keys()].flatMap((id) => {
    const key = `${set}\\Control\\CriticalDeviceDatabase\\${id.replaceAll('\\', '#')}`;
    const classGuid = driver.classGuid;
    return [
      { key, name: 'Service', after: textData(service) },
      ...(classGuid === null ? [] : [{ key, name: 'ClassGUID', after: textData(classGuid) }]),
    ];
  });
}

/**
 * From Windows 8 on (DriverDatabase): the same, as a driver package. Its INF has a name of our own, neither an
 * oemN.inf (Windows counts those) nor virtio-win's, so that pnputil can add the real package, which is then
 * preferred. The label has the form of a real one: other forms break `pnputil /e` and upgrades. Pure.
 */
export function driverDatabaseValues(
  driver: DriverPackage,
  service: string,
  architecture: 'x86' | 'amd64',
): WantedValue[] {
  const inf = `h2k${driver.name}.inf`;
  const label = `${inf}_${architecture}_0000000000000000`;
  const sections = [...new Set(driver.devices.map(({ section }) => section))];
  const ids = [...deviceIds(driver)];
  const classGuid = driver.classGuid?.toLowerCase() ?? null;
  const infKey = `DriverDatabase\\DriverInfFiles\\${inf}`;
  const packageKey = `DriverDatabase\\DriverPackages\\${label}`;
  return [
    { key: infKey, name: '', after: textsData([label]) },
    { key: infKey, name: 'Active', after: textData(label) },
    { key: infKey, name: 'Configurations', after: textsData(sections) },
    ...ids.map(([id, { rank }]) => ({
      key: `DriverDatabase\\DeviceIds\\${id}`,
      name: inf,
      after: binaryData(Buffer.from([rank, 0xff, 0, 0])),
    })),
    ...(classGuid === null
      ? []
      : [
          {
            key: `DriverDatabase\\DeviceIds\\${classGuid}`,
            name: inf,
            after: { type: REG.none, data: '' },
          },
        ]),
    { key: packageKey, name: '', after: textData(inf) },
    { key: packageKey, name: 'Provider', after: textData(driver.provider ?? '') },
    { key: packageKey, name: 'Version', after: binaryData(versionBytes(driver)) },
    ...sections.flatMap((section) => [
      { key: `${packageKey}\\Configurations\\${section}`, name: 'ConfigFlags', after: dwordData(0) },
      { key: `${packageKey}\\Configurations\\${section}`, name: 'Service', after: textData(service) },
    ]),
    ...ids.map(([id, { section }]) => ({
      key: `${packageKey}\\Descriptors\\${id}`,
      name: 'Configuration',
      after: textData(section),
    })),
  ];
}

const binaryData = (bytes: Buffer): ValueData => ({ type: REG.binary, data: bytes.toString('hex') });

interface DeviceId {
  /** 1 for the first id of the INF's line, which is the most specific one. */
  rank: number;
  section: string;
}

/** Behind all that an INF says of a device: an id that we derive. */
const DERIVED_RANK = 2;
const MAX_RANK = 0xff;

/**
 * Returns the ids of the package's PCI devices: the INF's, and those without the subsystem, because other vendors of
 * KVM have their own. The INF's own place of an id counts.
 */
function deviceIds({ devices }: DriverPackage): Map<string, DeviceId> {
  const found = new Map<string, DeviceId>();
  for (const { ids, section } of devices)
    for (const [index, id] of ids.entries())
      if (id.startsWith('PCI\\') && !found.has(id))
        found.set(id, { rank: Math.min(index + 1, MAX_RANK), section });
  for (const [id, { section }] of [...found])
    for (const derived of withoutSubsystem(id))
      if (!found.has(derived)) found.set(derived, { rank: DERIVED_RANK, section });
  return found;
}

/** `PCI\VEN_1AF4&DEV_1001&SUBSYS_00021AF4&REV_00`: the forms with and without the revision. */
function withoutSubsystem(id: string): string[] {
  const [, device, revision] =
    /^(PCI\\VEN_[0-9A-F]{4}&DEV_[0-9A-F]{4})(?:&SUBSYS_[0-9A-F]{8})?(&REV_[0-9A-F]{2})?$/.exec(id) ?? [];
  if (device === undefined) return [];
  return revision === undefined ? [device] : [`${device}${revision}`, device];
}

/** Seconds from 1601, where FILETIME begins, to 1970. */
const EPOCH_SECONDS = 11_644_473_600n;

/** The package's version as the database has it: 48 bytes. */
function versionBytes({ classGuid, driverVersion }: DriverPackage): Buffer {
  const bytes = Buffer.alloc(48);
  bytes.writeUInt32LE(0x0009_ff00, 0);
  if (classGuid !== null) guidBytes(classGuid).copy(bytes, 8);
  if (driverVersion === null) return bytes;
  const milliseconds = Date.parse(`${driverVersion.date}T00:00:00Z`);
  // An INF may name a month 13.
  if (!Number.isNaN(milliseconds))
    bytes.writeBigUInt64LE((BigInt(milliseconds / 1000) + EPOCH_SECONDS) * 10_000_000n, 24);
  const parts = driverVersion.version.split('.').map(Number);
  for (const [index, part] of parts.toReversed().entries())
    bytes.writeUInt16LE(part & 0xffff, 32 + index * 2);
  return bytes;
}

/** The first three groups of a GUID are little-endian. */
function guidBytes(guid: string): Buffer {
  const bytes = Buffer.from(guid.replace(/[{}-]/g, ''), 'hex');
  return Buffer.concat([
    bytes.subarray(0, 4).reverse(),
    bytes.subarray(4, 6).reverse(),
    bytes.subarray(6, 8).reverse(),
    bytes.subarray(8),
  ]);
}
