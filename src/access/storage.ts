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
 * An assembled md array. `device` is the appliance's name, which often is /dev/md127; `name` is the one in
 * the members' superblock.
 */
interface MdArray {
  device: string;
  /** As mdadm.conf has it: `xxxxxxxx:xxxxxxxx:xxxxxxxx:xxxxxxxx`. */
  uuid: string;
  name: string;
  /** Its partitions' devices (`/dev/md127p1`). */
  partitions: string[];
}
