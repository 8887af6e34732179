import type {
  DriverFile,
  DriverPackage,
  DriverSet,
  DriverWarning,
  Refusal,
} from '../../../model/driver-set.js';
import { type Candidate, judgeCandidate } from './candidate.js';
import type { DriverCatalogue, DriverFolder, PackageFile } from './catalogue.js';
import { PACKAGES } from './packages.js';
import { type DriverTarget, releaseFolders } from './releases.js';
import { serviceOf } from './services.js';
import { isOnlyCrossSigned, isUnknownDigest } from './signatures.js';

/** Flat, so that one path in DevicePath finds every INF. */
const DIRECTORY = '\\Windows\\Drivers\\VirtIO';
const DRIVERS = '\\Windows\\System32\\drivers';

/**
 * Returns the drivers that a Windows gets from a virtio-win package: of each package the first folder whose
 * files are complete, of the right machine, and signed so that this Windows loads them. Pure. Use:
 *
 *     const { files } = await openVirtioWin(path, cache, signal);
 *     const catalogue = await readCatalogue(files, { signal, windows });
 *     const { packages, warnings } = chooseDrivers(catalogue, windows);
 */
export function chooseDrivers(catalogue: DriverCatalogue, target: DriverTarget): DriverSet {
  const set: DriverSet = { packages: [], guestAgent: null, refusals: [], warnings: [] };
  /** SHA-256 by destination: packages may share files, but not names for different ones. */
  const taken = new Map<string, string>();
  for (const wanted of PACKAGES) {
    const refusals: Refusal[] = [];
    const found = choosePackage(wanted, catalogue, target, taken, refusals);
    set.refusals.push(...refusals);
    if (found === null) set.warnings.push(...warningsWithout(wanted.name, refusals, target));
    else {
      for (const { destinations, sha256 } of found.driver.files)
        for (const destination of destinations) taken.set(destination, sha256);
      set.packages.push(found.driver);
      set.warnings.push(...warningsOf(found.driver, found.candidate, target));
    }
  }
  const agent = catalogue.guestAgents.find(({ architecture }) => architecture === target.architecture);
  if (agent === undefined)
    set.warnings.push({
      code: 'drivers.no-guest-agent',
      message: `virtio-win has no installer of the guest agent for ${target.architecture}`,
    });
  else set.guestAgent = fileOf(agent.file, [`${DIRECTORY}\\${baseName(agent.file.path)}`]);
  return set;
}

function choosePackage(
  wanted: (typeof PACKAGES)[number],
  catalogue: DriverCatalogue,
  target: DriverTarget,
  taken: ReadonlyMap<string, string>,
  refusals: Refusal[],
): { driver: DriverPackage; candidate: Candidate } | null {
  for (const { folder, inf } of placesOf(wanted.infs, catalogue, target)) {
    const candidate = judgeCandidate(folder, inf, target, wanted.isBoot);
    const refuse = ({ code, message }: Pick<Refusal, 'code' | 'message'>) =>
      refusals.push({ package: wanted.name, folder: folder.folder, code, message });
    if ('code' in candidate) {
      refuse(candidate);
      continue;
    }
    const driver = packageOf(wanted, folder, inf, candidate);
    const conflict = driver.files.find((file) =>
      file.destinations.some((name) => (taken.get(name) ?? file.sha256) !== file.sha256),
    );
    if (conflict === undefined) return { driver, candidate };
    const message = `another package has a different ${baseName(conflict.destinations[0] ?? '')}`;
    refuse({ code: 'drivers.name-conflict', message });
  }
  return null;
}

/** Returns each INF with its folder: a better INF goes before a better folder. */
function placesOf(
  infs: readonly string[],
  { folders }: DriverCatalogue,
  target: DriverTarget,
): { folder: DriverFolder; inf: string }[] {
  const usable = releaseFolders(target).flatMap((release) =>
    folders.filter((folder) => folder.release === release && folder.architecture === target.architecture),
  );
  return infs.flatMap((name) =>
    usable.flatMap((folder) =>
      [...folder.files.keys()]
        .filter((path) => path === name || path.endsWith(`/${name}`))
        .map((inf) => ({ folder, inf })),
    ),
  );
}

function packageOf(
  { name, isBoot, extras }: (typeof PACKAGES)[number],
  folder: DriverFolder,
  infPath: string,
  { inf, files, catalogue, services }: Candidate,
): DriverPackage {
  const directory = infPath.slice(0, infPath.lastIndexOf('/') + 1);
  const extra = extras.flatMap((file): [string, PackageFile][] => {
    const found = folder.files.get(directory + file);
    return found?.program?.machine === folder.architecture ? [[file, found]] : [];
  });
  const signer = catalogue?.catalog?.signer ?? null;
  return {
    name,
    inf: infPath.slice(directory.length),
    folder: folder.folder,
    release: folder.release,
    isBoot,
    className: inf.className,
    classGuid: inf.classGuid,
    provider: inf.provider,
    driverVersion: inf.driverVersion,
    devices: inf.devices.map(({ description, ids, install: { section } }) => ({ description, ids, section })),
    // Devices of one INF share their services.
    services: [
      ...new Map(services.map((service) => [service.name.toLowerCase(), serviceOf(service)])).values(),
    ],
    files: [...new Map([...files, ...extra])].map(([path, file]) => {
      const own = `${DIRECTORY}\\${path.replaceAll('/', '\\')}`;
      const isBootDriver = isBoot && path.endsWith('.sys');
      return fileOf(file, isBootDriver ? [own, `${DRIVERS}\\${baseName(path)}`] : [own]);
    }),
    signer:
      signer === null
        ? null
        : { name: signer.name, thumbprint: signer.thumbprint, certificate: signer.certificate },
  };
}

const fileOf = ({ source, size, sha256, program }: PackageFile, destinations: string[]): DriverFile => ({
  source,
  size,
  sha256,
  version: program?.version ?? null,
  destinations,
});

const baseName = (path: string): string =>
  path.slice(Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\')) + 1);

function warningsWithout(
  name: DriverPackage['name'],
  refusals: readonly Refusal[],
  { build, architecture }: DriverTarget,
): DriverWarning[] {
  const reasons = refusals.map(({ folder, message }) => `${folder}: ${message}`).join('; ');
  const why = reasons === '' ? 'there is no folder with it' : reasons;
  const message = `virtio-win has no usable ${name} for Windows build ${build} (${architecture}): ${why}`;
  if (name === 'viostor') return [{ code: 'drivers.no-storage', message }];
  if (name === 'netkvm') return [{ code: 'drivers.no-network', message }];
  return reasons === '' ? [] : [{ code: 'drivers.refused', message }];
}

function warningsOf(
  { name, folder, isBoot }: DriverPackage,
  { drivers, catalogueObjection }: Candidate,
  target: DriverTarget,
): DriverWarning[] {
  if (!isBoot) return [];
  const warnings: DriverWarning[] = [];
  if (catalogueObjection !== null)
    warnings.push({
      code: 'drivers.no-catalogue',
      message: `${name} starts Windows, but cannot be installed in it: ${catalogueObjection.message}`,
    });
  if (drivers.some((file) => isOnlyCrossSigned(file, target)) && !target.testSigning)
    warnings.push({
      code: 'drivers.cross-signed',
      message: `${name} of ${folder} is not signed by Microsoft itself: Windows loads it only while Secure Boot is off`,
    });
  if (drivers.some((file) => isUnknownDigest(file, target)))
    warnings.push({
      code: 'drivers.unknown-digest',
      message: `${name} of ${folder} is signed with SHA-256, which this Windows does not know without KB3033929`,
    });
  return warnings;
}
