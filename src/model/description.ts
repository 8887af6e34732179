import type { Hardware } from './hardware.js';

/** What a VM's own description (a .vmx, an .ovf) says of it. */
export interface Description {
  hardware: Hardware;
  /** Hard disks in the order of controllers and units (`scsi0:1`, null where none is given); names as written. */
  disks: { controller: string | null; file: string }[];
}
