import type { Hardware } from './hardware.js';

/** A VM's own description (VMX, OVF). */
export interface Description {
  hardware: Hardware;
  /** Hard disks in order. */
  disks: DescribedDisk[];
  /** All files that it names, exactly as written. */
  files: string[];
  /** Files that come in pieces (OVF's chunkSize), and the whole size of each. */
  chunked?: { file: string; size: number }[];
  /** What could not be used, one sentence each. */
  warnings: string[];
}

export interface DescribedDisk {
  /** Bus and unit on the old hypervisor (`scsi0:0`); null if unknown. */
  controller: string | null;
  /** The disk's file, exactly as written; null for an empty disk, which importers create. */
  file: string | null;
  /** Bytes, for an empty disk. */
  capacity: number | null;
  /** The format, if the description declares it: oVirt's files have no extension that would. */
  format: 'qcow2' | 'raw' | null;
}
