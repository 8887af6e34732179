import type { Storage } from '../../../access/storage.js';
import type { Hive } from '../../../guest/registry/hive.js';
import type { Filesystem, WindowsIdentity } from '../../../model/identity.js';
import type { Warning } from '../../../model/plan.js';
import { hasDynamicDisk } from './dynamic-disks.js';
import { antivirusPrograms, type Installed } from './tools.js';
import type { VolumeState } from './volume-state.js';
import { SHA2_UPDATE } from './what-to-capture.js';

interface WindowsFacts {
  identity: Omit<WindowsIdentity, 'filesystems'>;
  storage: Storage;
  system: Hive;
  software: Hive;
  set: string;
  programs: readonly Installed[];
}

/** Returns what somebody should know before the guest starts on KVM. Pure. */
export function windowsWarnings(facts: WindowsFacts): Warning[] {
  const { identity, storage, programs } = facts;
  return [
    ...identity.volumes.flatMap(volumeWarnings),
    ...setupWarnings(facts),
    ...dataDisks(storage, identity.root),
    ...storage.filesystems.filter(({ type }) => type === 'BitLocker').map(encryptedVolume),
    ...antivirusPrograms(programs).map((name) =>
      warning(
        'inspect.antivirus',
        `${name} is installed: it may block new drivers or the first-boot program`,
      ),
    ),
    ...bootStoreWarnings(identity),
    ...sha2Warnings(facts),
  ];
}

const warning = (code: string, message: string): Warning => ({ fixer: 'inspect', code, message });

function volumeWarnings({ device, dirty, journal_clean }: VolumeState): Warning[] {
  if (dirty !== true && journal_clean !== false) return [];
  const found =
    journal_clean === false
      ? 'was not unmounted: its journal holds changes, which a conversion drops, and'
      : 'is marked dirty:';
  return [warning('inspect.dirty-volume', `${device} ${found} Windows runs chkdsk at its next start`)];
}

function setupWarnings({ system, software }: WindowsFacts): Warning[] {
  const setup = system.key('Setup');
  const isRunning = ['SystemSetupInProgress', 'OOBEInProgress'].some(
    (name) => (setup?.number(name) ?? 0) !== 0,
  );
  const policy = software.key('Policies\\Microsoft\\Windows\\DeviceInstall\\Restrictions');
  const isRestricted = policy !== null && [...policy.values()].length > 0;
  return [
    ...(isRunning
      ? [warning('inspect.setup-running', 'the setup of Windows has not finished: let it finish first')]
      : []),
    ...(isRestricted
      ? [
          warning(
            'inspect.device-policy',
            'a policy restricts the installation of devices: new virtio devices may stay without a driver',
          ),
        ]
      : []),
  ];
}

function dataDisks({ partitions, filesystems }: Storage, root: string): Warning[] {
  const own = filesystems.find(({ device }) => device === root)?.disk;
  return partitions
    .filter((table) => table.disk !== own && hasDynamicDisk(table))
    .map(({ disk }) =>
      warning('inspect.dynamic-data-disk', `disk ${disk} is a dynamic disk: Windows may show it as foreign`),
    );
}

const encryptedVolume = ({ device }: Filesystem): Warning =>
  warning('inspect.encrypted-volume', `${device} is encrypted by BitLocker: nothing in it was examined`);

function bootStoreWarnings({ boot_store: store }: WindowsFacts['identity']): Warning[] {
  if (store === null)
    return [warning('inspect.no-boot-store', 'no boot configuration (BCD) was found: Windows may not start')];
  return [
    ...(store.safe_boot
      ? [warning('inspect.safe-boot', 'Windows is set to start in safe mode, where no first-boot step runs')]
      : []),
    ...(store.test_signing
      ? [warning('inspect.test-signing', 'Windows is set to load drivers that are not signed by Microsoft')]
      : []),
  ];
}

/** Windows 7 and 2008 R2 know SHA-2 signatures of drivers only with an update. */
function sha2Warnings({ identity: { build }, software }: WindowsFacts): Warning[] {
  if (build < 7600 || build > 7601) return [];
  const slash = SHA2_UPDATE.lastIndexOf('\\');
  const prefix = SHA2_UPDATE.slice(slash + 1, -1);
  for (const { name } of software.key(SHA2_UPDATE.slice(0, slash))?.subkeys() ?? [])
    if (name.startsWith(prefix)) return [];
  return [
    warning('inspect.no-sha2', 'KB3033929 is not installed: Windows loads no driver with an SHA-2 signature'),
  ];
}
