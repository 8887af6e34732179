import { posix } from 'node:path';
import { upperCase } from '../../guest/registry/names.js';
import type { GuestTree } from '../../guest/tree.js';
import type { DriverFile, DriverPackage } from '../../model/driver-set.js';
import type { WindowsIdentity } from '../../model/identity.js';
import type { CopyDriver } from '../../operations/copy-driver.js';
import type { Fixer } from '../base/fixer.js';
import { hasNewer } from './own-drivers.js';
import type { WindowsGuest } from './registry-edits.js';

const NAME = 'driver-files';
const WINDOWS = '\\Windows';
/** Ours: its access rights are set even if somebody has made it before. */
const OWN_DIRECTORY = '/Drivers/VirtIO';

export const driverFiles: Fixer<WindowsIdentity> = {
  name: NAME,
  whileRunning: false,
  description:
    'Copies the drivers of the operator’s virtio-win that this Windows can load (virtio-win.md says which) to \\Windows\\Drivers\\VirtIO, and the disk drivers viostor and vioscsi to \\Windows\\System32\\drivers as well. A driver that Windows has already in the same or a newer version is not copied. Only SYSTEM and Administrators may change the files.',
  plan(guest) {
    if (guest.drivers === null) return { operations: [], warnings: [] };
    const { packages, guestAgent } = guest.drivers;
    const wanted = packages.filter((driver) => !hasNewer(guest, driver)).map(partOf);
    const agent = guestAgent === null || guest.identity.qemu_guest_agent ? [] : [agentOf(guestAgent)];
    const operations: CopyDriver[] = [];
    const made = new Set<string>();
    for (const part of [...wanted, ...agent]) {
      const files = missingFiles(guest, part.files);
      if (files.length === 0) continue;
      const directories = directoriesOf(guest, files).filter((path) => !made.has(path));
      for (const path of directories) made.add(path);
      const { reason, name, folder, version, signer } = part;
      const cause = { fixer: NAME, reason };
      operations.push({
        op: 'copy_driver',
        ...cause,
        package: name,
        folder,
        version,
        signer,
        files,
        directories,
      });
    }
    return { operations, warnings: [] };
  },
};

interface Part {
  name: string;
  reason: string;
  folder: string;
  version: string | null;
  signer: string | null;
  files: readonly DriverFile[];
}

const partOf = ({ name, folder, driverVersion, signer, files, isBoot }: DriverPackage): Part => ({
  name,
  reason: isBoot
    ? 'Windows cannot start from a virtio disk without its driver'
    : 'Windows installs the driver at its first boot on KVM',
  folder,
  version: driverVersion?.version ?? null,
  signer: signer?.name ?? null,
  files,
});

const agentOf = (file: DriverFile): Part => ({
  name: 'guest-agent',
  reason: 'the first boot installs QEMU’s guest agent',
  folder: 'guest-agent',
  version: file.version,
  signer: null,
  files: [file],
});

/** Returns the files that the guest does not have with the same content, by the paths that it spells. */
function missingFiles({ tree, identity }: WindowsGuest, files: readonly DriverFile[]): CopyDriver['files'] {
  return files.flatMap(({ source, size, sha256, destinations }) =>
    destinations.flatMap((destination) => {
      const path = spelled(tree, guestPath(identity, destination));
      return tree.get(path)?.sha256 === sha256 ? [] : [{ source, size, sha256, path }];
    }),
  );
}

/** Returns whether the guest has the INF of a package, by which Windows installs it: a newer driver's is not copied. */
export function hasInf({ tree, identity }: WindowsGuest, { inf, files }: DriverPackage): boolean {
  return files
    .flatMap(({ destinations }) => destinations)
    .filter((destination) => destination.toLowerCase().endsWith(`\\${inf}`))
    .some((destination) => tree.get(spelled(tree, guestPath(identity, destination))) !== null);
}

/** `\Windows\…` of the system drive: the directory may have another name. */
function guestPath({ system_root: root }: WindowsIdentity, destination: string): string {
  const below = destination.startsWith(`${WINDOWS}\\`) ? destination.slice(WINDOWS.length) : null;
  if (below === null) throw new Error(`${destination} is not below ${WINDOWS}`);
  return `${root}${below.replaceAll('\\', '/')}`;
}

/** Returns the path with each name as the guest spells it; what does not exist stays as it is. */
function spelled(tree: GuestTree, path: string): string {
  let found = '';
  for (const name of path.split('/').filter((part) => part !== '')) {
    const names = tree.list(found === '' ? '/' : found);
    const known = names.includes(name)
      ? name
      : names.find((candidate) => upperCase(candidate) === upperCase(name));
    found = `${found}/${known ?? name}`;
  }
  return found;
}

/**
 * Returns the directories that are made for the files, and ours, from the root down. Never one that Windows
 * has: its access rights are not ours to set.
 */
function directoriesOf({ tree, identity }: WindowsGuest, files: CopyDriver['files']): string[] {
  const own = spelled(tree, `${identity.system_root}${OWN_DIRECTORY}`);
  const drivers = posix.dirname(own);
  const found = new Set<string>();
  for (const { path } of files) {
    for (let at = posix.dirname(path); at === drivers || at.startsWith(`${drivers}/`); at = posix.dirname(at))
      if (at === own || !tree.isDirectory(at)) found.add(at);
  }
  return [...found].sort();
}
