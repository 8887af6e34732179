import type { Hardware } from './hardware.js';

/** What a VM's own description (VMX, OVF) says of it. */
export interface Description {
  hardware: Hardware;
  /** Hard disks in their order. */
  disks: DescribedDisk[];
  /** All files that it names, as it writes them. */
  files: string[];
  /** Files that come in pieces (OVF's chunkSize), and how large each is in all. */
  chunked?: { file: string; size: number }[];
  /** What of it could not be used, one sentence each. */
  warnings: string[];
}

export interface DescribedDisk {
  /** Bus and unit on the old hypervisor (`scsi0:0`); null where that is not known. */
  controller: string | null;
  /**
   * The disk's file as the description writes it; null for an empty disk, which whoever imports the VM makes.
   */
  file: string | null;
  /** Bytes, of an empty disk. */
  capacity: number | null;
  /** Where the description says it: oVirt's files have no ending that would. */
  format: 'qcow2' | 'raw' | null;
}
