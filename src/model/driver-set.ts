/** What of the operator's virtio-win one Windows gets. Plain data; families/windows/drivers chooses it. */
export interface DriverSet {
  /** Storage first. */
  packages: DriverPackage[];
  guestAgent: DriverFile | null;
  /** What was passed over, and why. */
  refusals: Refusal[];
  warnings: DriverWarning[];
}

export interface DriverPackage {
  name: PackageName;
  /** Name of the INF, in lower case. */
  inf: string;
  /** The folder in the virtio-win package, for people, and the release that it is for. */
  folder: string;
  release: string;
  /** Whether Windows starts from its device: it must be in the registry before the first boot. */
  isBoot: boolean;
  className: string | null;
  /** In upper case with braces. */
  classGuid: string | null;
  provider: string | null;
  /** Date as `YYYY-MM-DD`; four numbers. */
  driverVersion: { date: string; version: string } | null;
  devices: DriverDevice[];
  services: DriverService[];
  files: DriverFile[];
  /** Of the catalogue, for TrustedPublisher before Windows 10; null without a catalogue. */
  signer: { name: string; thumbprint: string; certificate: string } | null;
}

interface DriverDevice {
  description: string;
  /** In the order of the INF's line: the place of one is its index and 1. In upper case. */
  ids: string[];
  /** The INF's install section with its decoration, in lower case. */
  section: string;
}

export interface DriverFile {
  /** On this host. */
  source: string;
  size: number;
  sha256: string;
  /** Of a program or driver: its file version; null without one. */
  version: string | null;
  /** Paths in the guest, from its system drive, with backslashes. */
  destinations: string[];
}

/** A service as the INF has it. */
export interface DriverService {
  name: string;
  isFunctionDriver: boolean;
  displayName: string | null;
  type: number;
  start: number;
  errorControl: number;
  /** From the Windows directory: `system32\drivers\viostor.sys`. */
  imagePath: string;
  loadOrderGroup: string | null;
  dependencies: string[];
  /** Below the service's key; a `name` of null makes only the key. */
  values: { key: string; name: string | null; type: number; data: string }[];
}

/** The packages of virtio-win that guests get. */
export type PackageName =
  | 'viostor'
  | 'vioscsi'
  | 'netkvm'
  | 'balloon'
  | 'vioserial'
  | 'viorng'
  | 'vioinput'
  | 'fwcfg'
  | 'pvpanic'
  | 'display'
  | 'viofs';

/** Why a package of one folder is not taken. */
export interface Refusal {
  package: PackageName;
  folder: string;
  code: RefusalCode;
  message: string;
}

export type RefusalCode =
  | 'drivers.inf-invalid'
  | 'drivers.not-for-windows'
  | 'drivers.incomplete'
  | 'drivers.wrong-machine'
  | 'drivers.unsigned'
  | 'drivers.self-signed'
  | 'drivers.not-microsoft'
  | 'drivers.catalogue-mismatch'
  | 'drivers.name-conflict';

export interface DriverWarning {
  code:
    | 'drivers.no-storage'
    | 'drivers.no-network'
    | 'drivers.refused'
    | 'drivers.no-guest-agent'
    | 'drivers.no-catalogue'
    | 'drivers.cross-signed'
    | 'drivers.unknown-digest';
  message: string;
}
