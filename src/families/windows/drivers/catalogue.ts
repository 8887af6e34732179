import type { DigestAlgorithm } from '../../../guest/pe/file-digest.js';
import type { RootKind } from '../../../guest/pe/microsoft-roots.js';
import type { FolderPlace } from './layout.js';

/**
 * What a virtio-win package has, as plain data: everything that `chooseDrivers` needs, so that choosing is
 * pure. read-catalogue.ts makes it.
 */
export interface DriverCatalogue {
  /** Sorted by path, so that the choice does not depend on the order of a directory. */
  folders: DriverFolder[];
  /** Installers of the QEMU guest agent, sorted by path. */
  guestAgents: { architecture: FolderPlace['architecture']; file: PackageFile }[];
}

/** The files for one release and architecture: of one driver, or of all, as the layout has it. */
export interface DriverFolder extends Pick<FolderPlace, 'folder' | 'release' | 'architecture'> {
  /** By path in the folder, in lower case. */
  files: Map<string, PackageFile>;
}

export interface PackageFile {
  /** In the package, for people. */
  path: string;
  /** On this host: FIX copies it from there. */
  source: string;
  size: number;
  sha256: string;
  /** Digests under which a catalogue may list it. */
  memberDigests: string[];
  /** Null for what is no program. */
  program: ProgramFacts | null;
  /** Of a `.cat`: null if it cannot be read. */
  catalog: CatalogFacts | null;
  /** Of an INF: its bytes, in base64. */
  inf: string | null;
}

interface ProgramFacts {
  machine: 'x86' | 'amd64' | 'arm64' | 'other';
  /** Of the file, as `a.b.c.d`; null without one. */
  version: string | null;
  /** Empty also where its signatures cannot be read. */
  signatures: SignatureFacts[];
}

export interface SignatureFacts {
  digestAlgorithm: DigestAlgorithm;
  isValid: boolean;
  signer: SignerFacts | null;
}

export interface CatalogFacts {
  isIntact: boolean;
  signer: SignerFacts | null;
  digestAlgorithms: DigestAlgorithm[];
  members: string[];
}

/** See `Signer` in guest/pe/chain.ts. */
export interface SignerFacts {
  name: string;
  isSelfIssued: boolean;
  thumbprint: string;
  /** DER, in base64. */
  certificate: string;
  root: RootKind | null;
}
