import type { ErrorRecord } from '../errors/error.js';
import type { Boot, Content } from './boot.js';
import type { Hardware } from './hardware.js';
import type { Identity } from './identity.js';
import type { Operation } from './operation.js';
import type { Plan, Warning } from './plan.js';
import type { StageRecord } from './stage-record.js';
import type { DeliveredDisk } from './storage.js';

/** One file of the drop: `path` relative to the source directory, `size` in bytes. */
export interface SourceFile {
  path: string;
  size: number;
  sha256: string;
}

export interface Versions {
  hyper2kvm: string;
  /** Null where the host's part could not be asked. */
  qemu: string | null;
  libguestfs: string | null;
}

/** `report.json`. Sizes in bytes, times ISO 8601 in UTC; `null` where a stage did not get so far. */
export interface Report {
  job: string;
  vm: string;
  kind: 'vm' | 'data';
  verdict: 'converted' | 'failed';
  started_at: string;
  finished_at: string;
  stages: StageRecord[];
  identity: Identity | null;
  hardware: Hardware | null;
  plan: Operation[] | null;
  devices: Plan['devices'] | null;
  warnings: Warning[];
  /** What FIX read back from the guest and found right. */
  proofs: string[];
  /** `file` is relative to the bundle. */
  disks: Omit<DeliveredDisk, 'index'>[];
  boot: Boot | null;
  /** Of a data disk, in place of a boot: it was compared with its source. */
  content: Content | null;
  /** How to start the VM on the host that converted it: lines for a shell. Null for a data disk and when the job failed. */
  start: { libvirt: string[]; qemu: string } | null;
  /** Empty when the job failed: the source is beside the report, untouched. */
  source: SourceFile[];
  versions: Versions;
  error: ErrorRecord | null;
  failed_stage: string | null;
}
