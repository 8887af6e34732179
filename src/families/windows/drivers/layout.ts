import type { ReleaseFolder, WindowsRelease } from './releases.js';

/** Where a file of a virtio-win package stands. */
export interface FolderPlace {
  /** Path of the folder for one release and architecture. */
  folder: string;
  release: ReleaseFolder;
  architecture: WindowsRelease['architecture'];
  /** The file's path in that folder. */
  name: string;
}

const ARCHITECTURES: ReadonlyMap<string, FolderPlace['architecture']> = new Map([
  ['x86', 'x86'],
  ['i386', 'x86'],
  ['amd64', 'amd64'],
]);
/** Both spellings: those of the ISO and of `by-os`, and those of `drivers/amd64/Win10` in the RPM. */
const RELEASES: ReadonlyMap<string, ReleaseFolder> = new Map([
  ['xp', 'xp'],
  ['winxp', 'xp'],
  ['2k3', '2k3'],
  ['win2003', '2k3'],
  ['2k8', '2k8'],
  ['win2008', '2k8'],
  ['w7', 'w7'],
  ['win7', 'w7'],
  ['2k8r2', '2k8r2'],
  ['win2008r2', '2k8r2'],
  ['w8', 'w8'],
  ['win8', 'w8'],
  ['2k12', '2k12'],
  ['win2012', '2k12'],
  ['w8.1', 'w8.1'],
  ['win8.1', 'w8.1'],
  ['2k12r2', '2k12r2'],
  ['win2012r2', '2k12r2'],
  ['w10', 'w10'],
  ['win10', 'w10'],
  ['2k16', '2k16'],
  ['win2016', '2k16'],
  ['2k19', '2k19'],
  ['win2019', '2k19'],
  ['w11', 'w11'],
  ['win11', 'w11'],
  ['2k22', '2k22'],
  ['win2022', '2k22'],
  ['2k25', '2k25'],
  ['win2025', '2k25'],
]);

/**
 * Returns the release and architecture that a file of virtio-win is for; null where its path does not say.
 * All layouts have two folders in a row that do: `<driver>/w10/amd64`, `by-driver/<driver>/w10/amd64`,
 * `amd64/w10`, `by-os/amd64/w10` and `amd64/Win10`. `path` has no leading slash.
 */
export function folderPlace(path: string): FolderPlace | null {
  const parts = path.split('/');
  for (const [index, part] of parts.slice(0, -2).entries()) {
    const pair = [part, parts[index + 1] as string].map((text) => text.toLowerCase());
    const [first = '', second = ''] = pair;
    const release = RELEASES.get(first) ?? RELEASES.get(second);
    const architecture = ARCHITECTURES.get(first) ?? ARCHITECTURES.get(second);
    if (release === undefined || architecture === undefined) continue;
    return {
      folder: parts.slice(0, index + 2).join('/'),
      release,
      architecture,
      name: parts.slice(index + 2).join('/'),
    };
  }
  return null;
}

/** Returns which guests an installer of the QEMU guest agent is for; null where it is none. */
export function guestAgentArchitecture(path: string): WindowsRelease['architecture'] | null {
  const [, architecture] = /(?:^|\/)qemu-ga-(x86_64|x64|i386|x86)\.msi$/i.exec(path) ?? [];
  if (architecture === undefined) return null;
  return architecture.toLowerCase().endsWith('64') ? 'amd64' : 'x86';
}

/** What packages consist of. Debug symbols are no part of them. */
const EXTENSIONS = /\.(?:inf|cat|sys|dll|exe|msi)$/i;

/** True for the files of virtio-win that guests may get. */
export function isWanted(path: string): boolean {
  if (guestAgentArchitecture(path) !== null) return true;
  return EXTENSIONS.test(path) && folderPlace(path) !== null;
}
