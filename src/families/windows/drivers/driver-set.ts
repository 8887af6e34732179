import type { ReleaseFolder, WindowsRelease } from './releases.js';

/** The Windows that a driver set is for, with what decides whether it loads a driver. */
export interface DriverTarget extends WindowsRelease {
  /** The boot entry has `testsigning`: any signature will do. */
  testSigning: boolean;
  secureBoot: boolean;
  /** False for Windows 7 and Server 2008 R2 without KB3033929: they know no SHA-256 in signatures. */
  knowsSha256: boolean;
}

/** What of a virtio-win package one Windows gets. Plain data. */
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
  release: ReleaseFolder;
  /** Whether Windows starts from its device: it must be in the registry before the first boot. */
  isBoot: boolean;
  className: string | null;
  /** In upper case with braces. */
  classGuid: string | null;
  provider: string | null;
  /** Date as `YYYY-MM-DD`; four numbers. */
  driverVersion: { date: string; version: string } | null;
  devices: { description: string; ids: string[] }[];
  services: DriverService[];
  files: DriverFile[];
  /** Of the catalogue, for TrustedPublisher before Windows 10; null without a catalogue. */
  signer: { name: string; thumbprint: string; certificate: string } | null;
}

export interface DriverFile {
  /** On this host. */
  source: string;
  size: number;
  sha256: string;
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
type PackageName = (typeof PACKAGES)[number]['name'];

/**
 * Each with the names of its INF, the best one first, and files that belong to it although no INF names them. Left
 * out on purpose: vioprot and the SR-IOV packages, which break NetKVM, and those for devices that the domain
 * does not have.
 */
export const PACKAGES = [
  { name: 'viostor', infs: ['viostor.inf'], isBoot: true, extras: [] },
  { name: 'vioscsi', infs: ['vioscsi.inf'], isBoot: true, extras: [] },
  { name: 'netkvm', infs: ['netkvm.inf'], isBoot: false, extras: [] },
  { name: 'balloon', infs: ['balloon.inf'], isBoot: false, extras: ['blnsvr.exe'] },
  { name: 'vioserial', infs: ['vioser.inf'], isBoot: false, extras: [] },
  { name: 'viorng', infs: ['viorng.inf'], isBoot: false, extras: [] },
  { name: 'vioinput', infs: ['vioinput.inf'], isBoot: false, extras: [] },
  { name: 'fwcfg', infs: ['fwcfg.inf', 'qemufwcfg.inf'], isBoot: false, extras: [] },
  { name: 'pvpanic', infs: ['pvpanic.inf'], isBoot: false, extras: [] },
  { name: 'display', infs: ['viogpudo.inf', 'qxldod.inf', 'qxl.inf'], isBoot: false, extras: [] },
  { name: 'viofs', infs: ['viofs.inf'], isBoot: false, extras: [] },
] as const satisfies { name: string; infs: string[]; isBoot: boolean; extras: string[] }[];

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
