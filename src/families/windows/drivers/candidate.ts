import { Hyper2kvmError } from '../../../errors/error.js';
import type { InfFile } from '../../../guest/inf/files.js';
import { type DriverInf, readDriverInf } from '../../../guest/inf/package.js';
import type { InfService } from '../../../guest/inf/services.js';
import type { DriverFolder, PackageFile } from './catalogue.js';
import { type DriverTarget, infTarget } from './releases.js';
import {
  needsCatalogue,
  needsEmbeddedSignature,
  type Objection,
  objectionToDriver,
  objectionToSigner,
} from './signatures.js';

/** A package of one folder that a Windows can use. */
export interface Candidate {
  inf: DriverInf;
  /** Its INF, catalogue and all that the INF copies; by path in the package, in lower case. */
  files: Map<string, PackageFile>;
  /** Null where a boot driver does without one. */
  catalogue: PackageFile | null;
  /** The drivers among the files. */
  drivers: PackageFile[];
  services: InfService[];
  /** Why its catalogue does not vouch for it, which only a boot driver may do without; null if it does. */
  catalogueObjection: Objection | null;
}

/**
 * Returns what the INF at `infName` in the folder makes a package of, or the first reason why this Windows
 * cannot use it. Everything about the package is read from that INF.
 */
export function judgeCandidate(
  folder: DriverFolder,
  infName: string,
  target: DriverTarget,
  isBoot: boolean,
): Candidate | Objection {
  const infFile = folder.files.get(infName);
  const inf = infFile === undefined ? null : parsed(infFile, target);
  if (infFile === undefined || inf === null)
    return { code: 'drivers.inf-invalid', message: `${folder.folder}/${infName} cannot be read` };
  const { build, architecture } = target;
  if (inf.devices.length === 0)
    return {
      code: 'drivers.not-for-windows',
      message: `${infFile.path} has no devices for Windows build ${build} (${architecture})`,
    };
  const directory = infName.slice(0, infName.lastIndexOf('/') + 1);
  const files = new Map([[infName.slice(directory.length), infFile]]);
  // Devices share what installs them.
  const installs = [...new Set(inf.devices.map(({ install }) => install))];
  for (const name of namesOf(installs.flatMap((install) => install.files))) {
    const file = folder.files.get(directory + name);
    if (file === undefined)
      return { code: 'drivers.incomplete', message: `${infFile.path} names ${name}, which is missing` };
    files.set(name, file);
  }
  const services = installs.flatMap((install) => install.services);
  if (isBoot && services.length === 0)
    return { code: 'drivers.incomplete', message: `${infFile.path} adds no service` };
  const drivers = [...files].flatMap(([name, file]) => (name.endsWith('.sys') ? [file] : []));
  const objection =
    drivers.map((file) => objectionToMachine(file, target)).find((found) => found !== null) ??
    (isBoot && needsEmbeddedSignature(target)
      ? drivers.map((file) => objectionToDriver(file, target)).find((found) => found !== null)
      : null);
  if (objection) return objection;
  const catalogueName = inf.catalog?.toLowerCase() ?? '';
  const catalogue = folder.files.get(directory + catalogueName) ?? null;
  const catalogueObjection = objectionToCatalogue(infFile, catalogue, files, target);
  const isNeeded = !isBoot && needsCatalogue(target);
  if (catalogueObjection !== null && (isNeeded || catalogueObjection.code === 'drivers.self-signed'))
    return catalogueObjection;
  if (catalogue !== null) files.set(catalogueName, catalogue);
  return { inf, files, catalogue, drivers, services, catalogueObjection };
}

function parsed({ inf }: PackageFile, target: DriverTarget): DriverInf | null {
  try {
    return readDriverInf(Buffer.from(inf ?? '', 'base64'), infTarget(target));
  } catch (error) {
    if (error instanceof Hyper2kvmError && error.code === 'guest.inf-invalid') return null;
    throw error;
  }
}

/** Returns the files' paths from the INF's own directory on, in lower case. */
function namesOf(files: readonly InfFile[]): Set<string> {
  return new Set(
    files.map(({ sourceDirectory, source }) =>
      [...sourceDirectory.split('\\'), source]
        .filter((part) => part !== '')
        .join('/')
        .toLowerCase(),
    ),
  );
}

function objectionToMachine(
  { path, program }: PackageFile,
  { architecture }: DriverTarget,
): Objection | null {
  if (program?.machine === architecture) return null;
  const machine = program === null ? 'is not a Windows driver' : `is for ${program.machine}`;
  return { code: 'drivers.wrong-machine', message: `${path} ${machine}, not for ${architecture}` };
}

function objectionToCatalogue(
  inf: PackageFile,
  file: PackageFile | null,
  files: ReadonlyMap<string, PackageFile>,
  target: DriverTarget,
): Objection | null {
  if (file === null) return { code: 'drivers.unsigned', message: `the catalogue of ${inf.path} is missing` };
  const { path, catalog } = file;
  if (catalog === null) return { code: 'drivers.unsigned', message: `${path} is not a catalogue` };
  if (!catalog.isIntact)
    return {
      code: 'drivers.catalogue-mismatch',
      message: `the signature of ${path} is not that of its content`,
    };
  const objection = objectionToSigner(path, catalog.signer, target);
  if (objection !== null) return objection;
  const members = new Set(catalog.members);
  const foreign = [...files.values()].find(
    ({ memberDigests }) => !memberDigests.some((digest) => members.has(digest)),
  );
  return foreign === undefined
    ? null
    : { code: 'drivers.catalogue-mismatch', message: `${path} does not list ${foreign.path}` };
}
