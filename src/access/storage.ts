import type { Filesystem, Identity, Unlocked } from '../model/identity.js';

/** What is on the VM's disks, whatever system uses it. */
export interface Storage {
  partitions: Identity['partitions'];
  filesystems: Filesystem[];
  /** LUKS containers that were opened with the job's keys. */
  unlocked: Unlocked[];
  arrays: MdArray[];
  /** Names that several volume groups have: LVM activates none of them. */
  duplicateGroups: string[];
}

/**
 * An assembled md array. `device` is its name in the appliance, often /dev/md127; `name` is the one in the
 * members' superblock.
 */
interface MdArray {
  device: string;
  /** In the form of mdadm.conf: `xxxxxxxx:xxxxxxxx:xxxxxxxx:xxxxxxxx`. */
  uuid: string;
  name: string;
  /** The devices of its partitions (`/dev/md127p1`). */
  partitions: string[];
}
