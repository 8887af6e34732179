import type { ErrorRecord } from '../errors/error.js';

/**
 * One name of a drop as it was when the claim was decided: only this file is taken, not another that gets the
 * name later.
 */
export interface ClaimedEntry {
  name: string;
  device: number;
  inode: number;
  /**
   * Birth time (ms since the epoch), because inode numbers are reused. Missing in claims of older daemons.
   */
  bornMs?: number;
  /** `EntryState.fingerprint`: unchanged as long as nothing in it is touched. */
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
  /** Its job.toml has `warm = true`: it is the base of a VM that still runs. */
  isWarm?: boolean;
  /**
   * The parked job that this drop is the delta of. It becomes a job of its own if that one is no longer parked
   * when the claim is committed.
   */
  joins?: string | undefined;
  reservedBytes: number;
  /**
   * `moving`: by rename. `copying`: to another filesystem. `copied`: the copies are complete and durable, and
   * the originals are being removed.
   */
  phase: 'moving' | 'copying' | 'copied';
}
