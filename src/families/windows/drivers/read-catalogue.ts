import { createHash } from 'node:crypto';
import { Hyper2kvmError } from '../../../errors/error.js';
import { readSmallFile } from '../../../files/small-file.js';
import { memberDigests, readCatalog } from '../../../guest/pe/catalog.js';
import type { Signer } from '../../../guest/pe/chain.js';
import { isPe, readPe } from '../../../guest/pe/image.js';
import { MICROSOFT_ROOTS, type Root } from '../../../guest/pe/microsoft-roots.js';
import { fileSignatures } from '../../../guest/pe/signature.js';
import { fileVersion } from '../../../guest/pe/version.js';
import type {
  CatalogFacts,
  DriverCatalogue,
  DriverFolder,
  PackageFile,
  SignatureFacts,
  SignerFacts,
} from './catalogue.js';
import { folderPlace, guestAgentArchitecture } from './layout.js';
import { releaseFolders, type WindowsRelease } from './releases.js';
import { type TreeFile, unreadable } from './tree.js';

export interface ReadOptions {
  signal: AbortSignal;
  /** The only Windows that drivers are chosen for, so that other folders are not read; all by default. */
  windows?: WindowsRelease;
  /** Tests sign with their own. */
  roots?: readonly Root[];
}

/**
 * Reads the files of a virtio-win package once: digests, machines, signatures, catalogues and INFs. Throws
 * `windows.virtio-win-unreadable`.
 */
export async function readCatalogue(
  files: readonly TreeFile[],
  { signal, windows, roots = MICROSOFT_ROOTS }: ReadOptions,
): Promise<DriverCatalogue> {
  const folders = new Map<string, DriverFolder>();
  const guestAgents: DriverCatalogue['guestAgents'] = [];
  const releases = windows === undefined ? null : releaseFolders(windows);
  for (const file of files) {
    signal.throwIfAborted();
    const agent = guestAgentArchitecture(file.path);
    const place = folderPlace(file.path);
    const architecture = agent ?? place?.architecture;
    if (architecture === undefined) continue;
    if (windows !== undefined && architecture !== windows.architecture) continue;
    if (agent !== null) guestAgents.push({ architecture: agent, file: await readFacts(file, roots) });
    else if (place !== null && (releases === null || releases.includes(place.release))) {
      const { name, ...folder } = place;
      const found = folders.get(place.folder) ?? { ...folder, files: new Map() };
      folders.set(place.folder, found);
      // Names in Windows compare without case: of twins, the first counts.
      const lower = name.toLowerCase();
      if (!found.files.has(lower)) found.files.set(lower, await readFacts(file, roots));
    }
  }
  return { folders: [...folders.values()], guestAgents };
}

async function readFacts({ path, source, size }: TreeFile, roots: readonly Root[]): Promise<PackageFile> {
  const bytes = await readSmallFile(source, size).catch((error: unknown) => {
    throw unreadable(source, error);
  });
  const extension = path.slice(path.lastIndexOf('.')).toLowerCase();
  return {
    path,
    source,
    size: bytes.length,
    sha256: createHash('sha256').update(bytes).digest('hex'),
    memberDigests: orIfInvalid([], () => memberDigests(bytes)),
    program: programFacts(bytes, roots),
    catalog: extension === '.cat' ? orIfInvalid(null, () => catalogFacts(bytes, roots)) : null,
    inf: extension === '.inf' ? bytes.toString('base64') : null,
  };
}

function programFacts(bytes: Buffer, roots: readonly Root[]): PackageFile['program'] {
  if (!isPe(bytes)) return null;
  return orIfInvalid(null, () => ({
    machine: readPe(bytes).machine,
    version: fileVersion(bytes),
    signatures: orIfInvalid([], () => signatureFacts(bytes, roots)),
  }));
}

const signatureFacts = (bytes: Buffer, roots: readonly Root[]): SignatureFacts[] =>
  fileSignatures(bytes, roots).map(({ digestAlgorithm, isValid, signer }) => ({
    digestAlgorithm,
    isValid,
    signer: signerFacts(signer),
  }));

function catalogFacts(bytes: Buffer, roots: readonly Root[]): CatalogFacts {
  const { isIntact, signer, digestAlgorithms, members } = readCatalog(bytes, roots);
  return {
    isIntact,
    signer: signerFacts(signer),
    digestAlgorithms: [...digestAlgorithms],
    members: [...members],
  };
}

function signerFacts(signer: Signer | null): SignerFacts | null {
  if (signer === null) return null;
  const { name, isSelfIssued, thumbprint, root, certificate } = signer;
  return { name, isSelfIssued, thumbprint, root, certificate: certificate.toString('base64') };
}

const DAMAGE = ['guest.pe-invalid', 'guest.signature-invalid'];

/** A damaged file is no reason to do without the others: its package is refused by what is not known of it. */
function orIfInvalid<T>(fallback: T, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof Hyper2kvmError && DAMAGE.includes(error.code)) return fallback;
    throw error;
  }
}
