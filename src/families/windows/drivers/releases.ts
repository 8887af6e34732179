import type { WindowsTarget } from '../../../guest/inf/decoration.js';

/** Names of virtio-win's folders for a Windows release, in lower case. */
export type ReleaseFolder =
  | 'xp'
  | '2k3'
  | '2k8'
  | 'w7'
  | '2k8r2'
  | 'w8'
  | '2k12'
  | 'w8.1'
  | '2k12r2'
  | 'w10'
  | '2k16'
  | '2k19'
  | 'w11'
  | '2k22'
  | '2k25';

/** The Windows that drivers are chosen for. */
export interface WindowsRelease {
  architecture: 'x86' | 'amd64';
  build: number;
  product: WindowsTarget['product'];
}

/** The Windows that a driver set is for, with what decides whether it loads a driver. */
export interface DriverTarget extends WindowsRelease {
  /** The boot entry has `testsigning`: any signature will do. */
  testSigning: boolean;
  secureBoot: boolean;
  /** False for Windows 7 and Server 2008 R2 without KB3033929: they know no SHA-256 in signatures. */
  knowsSha256: boolean;
}

type Row = readonly [firstBuild: number, ...folders: ReleaseFolder[]];

const SERVER_2008_R2: ReleaseFolder[] = ['2k8r2', 'w7'];
const SERVER_2012: ReleaseFolder[] = ['2k12', 'w8', ...SERVER_2008_R2];
const SERVER_2016: ReleaseFolder[] = ['2k16', 'w10'];
const SERVER_2019: ReleaseFolder[] = ['2k19', ...SERVER_2016];

/** A row applies from its first build up to the next row's. */
const CLIENTS: readonly Row[] = [
  [2600, 'xp'],
  // Windows XP x64 is a Server 2003.
  [3790, '2k3'],
  [6000, '2k8'],
  [7600, 'w7', '2k8r2'],
  [9200, 'w8', 'w7'],
  [9600, 'w8.1', 'w8', 'w7'],
  [10_240, 'w10'],
  [22_000, 'w11', 'w10'],
];
const SERVERS: readonly Row[] = [
  [3790, '2k3'],
  [6001, '2k8'],
  [7600, ...SERVER_2008_R2],
  [9200, ...SERVER_2012],
  [9600, '2k12r2', 'w8.1', ...SERVER_2012],
  [10_240, ...SERVER_2016],
  [17_763, ...SERVER_2019],
  [20_348, '2k22', ...SERVER_2019],
  [26_100, '2k25', '2k22', '2k19', 'w11', 'w10'],
];

/**
 * Returns the folders whose drivers a Windows may take, the best one first: its own, then older ones, but
 * none from before Windows 10 for Windows 10 and later, whose rules for signatures are others.
 */
export function releaseFolders({ build, product }: WindowsRelease): readonly ReleaseFolder[] {
  const rows = product === 'workstation' ? CLIENTS : SERVERS;
  const [, ...folders] = rows.findLast(([first]) => first <= build) ?? [0];
  return folders;
}

const VERSIONS: readonly (readonly [firstBuild: number, major: number, minor: number])[] = [
  [2600, 5, 1],
  [3790, 5, 2],
  [6000, 6, 0],
  [7600, 6, 1],
  [9200, 6, 2],
  [9600, 6, 3],
  [10_240, 10, 0],
];

/** Returns the release in the form that an INF's decorations are compared with. */
export function infTarget({ architecture, build, product }: WindowsRelease): WindowsTarget {
  const [, major, minor] = VERSIONS.findLast(([first]) => first <= build) ?? [0, 5, 0];
  return { architecture, build, product, version: [major, minor] };
}
