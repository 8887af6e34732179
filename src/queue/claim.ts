import type { ErrorRecord } from '../errors/error.js';

/**
 * One name of a drop as it was when the claim was decided: only that very file is taken, not one that has the
 * name later.
 */
export interface ClaimedEntry {
  name: string;
  device: number;
  inode: number;
  /** Time of birth (ms since the epoch): inode numbers are reused. Missing in claims of older daemons. */
  bornMs?: number;
  /** `EntryState.fingerprint`: nothing in it was touched as long as this is the same. */
  fingerprint: string;
}

/** A drop on its way from incoming to `work/<job>/source`. */
export interface Claim {
  job: string;
  vm: string;
  dropName: string;
  entries: ClaimedEntry[];
  optionsFile: string | null;
  refused: ErrorRecord | null;
  reservedBytes: number;
  /**
   * `moving`: by rename. `copying`: onto another filesystem. `copied`: the copies are complete and durable,
   * the originals are being removed.
   */
  phase: 'moving' | 'copying' | 'copied';
}
