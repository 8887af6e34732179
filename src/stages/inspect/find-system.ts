import type { GuestReader } from '../../access/guest-reader.js';
import type { Storage } from '../../access/storage.js';
import { TOO_NEW_ADVICE } from '../../access/tolerate.js';
import { Hyper2kvmError } from '../../errors/error.js';
import { asIs } from '../../families/as-is/family.js';
import type { Family } from '../../families/base/family.js';
import type { Detection, GuestDisks, RootCandidate } from '../../families/base/inspection.js';
import { FAMILIES } from '../../families/registry.js';
import type { Filesystem } from '../../model/identity.js';

export interface FoundSystem extends Pick<Detection, 'unmountable'> {
  family: Family;
  root: RootCandidate;
}

/**
 * Returns the system on the VM's disks. Rejects with an `inspect.*` code such as `inspect.no-os` if there is
 * none of a known family.
 */
export async function findSystem(reader: GuestReader, disks: GuestDisks): Promise<FoundSystem> {
  const unmountable: Detection['unmountable'][number][] = [];
  for (const family of FAMILIES) {
    if (family === asIs) refuseHidden(disks);
    const detected = await family.detect(reader, { ...disks, unmountable });
    unmountable.push(...detected.unmountable);
    if (detected.root !== null) return { family, root: detected.root, unmountable };
  }
  throw noSystem(disks.storage, unmountable);
}

/**
 * Throws for a locked container: the system is most likely in it. Beside one, what tells a system that is
 * converted as it is may be a disk with data (a pool of ZFS, a vendor's DOS partition).
 */
function refuseHidden({ storage: { filesystems } }: GuestDisks): void {
  const isOpen = ({ uuid }: Filesystem) =>
    filesystems.some(({ device }) => device === `/dev/mapper/luks-${uuid}`);
  const luks = filesystems.find((filesystem) => filesystem.type === 'crypto_LUKS' && !isOpen(filesystem));
  if (luks !== undefined)
    throw new Hyper2kvmError(
      'inspect.encrypted',
      `${luks.device} is LUKS-encrypted and no operating system was found outside it`,
    );
  const bitlocker = filesystems.find(({ type }) => type === 'BitLocker');
  if (bitlocker !== undefined)
    throw new Hyper2kvmError(
      'inspect.bitlocker',
      `${bitlocker.device} is encrypted by BitLocker and no operating system was found outside it`,
    );
}

/** Returns the most likely reason why no system was found. */
function noSystem({ duplicateGroups }: Storage, unmountable: Detection['unmountable']): Hyper2kvmError {
  const [group] = duplicateGroups;
  if (group !== undefined)
    return new Hyper2kvmError(
      'inspect.duplicate-vg',
      `several volume groups of this VM are named ${group}: LVM activates none of them, so what is in them cannot be looked at`,
      {
        advice:
          'Give one of them another name in the guest (vgrename UUID NEWNAME, by the UUIDs that vgs -o +vg_uuid shows), or drop the VM without the disk that does not belong to it.',
      },
    );
  const tooNew = unmountable.find(({ code }) => code === 'guest.filesystem-too-new');
  if (tooNew !== undefined)
    return new Hyper2kvmError('guest.filesystem-too-new', `${tooNew.device}: ${tooNew.reason}`, {
      advice: TOO_NEW_ADVICE,
    });
  const [broken] = unmountable;
  if (broken !== undefined) {
    return new Hyper2kvmError('inspect.unmountable', `${broken.device} cannot be mounted: ${broken.reason}`);
  }
  return new Hyper2kvmError('inspect.no-os', 'no operating system was found on any filesystem of this VM');
}
