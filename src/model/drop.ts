import { z } from 'zod';
import type { ErrorRecord } from '../errors/error.js';

/** The location of a drop's files. */
export const dropPlaceSchema = z.object({
  /** Absolute. */
  directory: z.string(),
  /** Names inside `directory` that make up the drop; sorted. */
  entries: z.array(z.string()),
  /** For a copy, the directory of the original drop. */
  original: z.string().optional(),
});
export type DropPlace = z.infer<typeof dropPlaceSchema>;

/** A file of a drop that is not part of what was converted, with `path` as its owner knows it. */
export const passedOverSchema = z.object({
  path: z.string(),
  /**
   * `hidden`: `._web01.vmdk`. `change-tracking`: `-ctk.vmdk`. `not-a-disk`: a log, an ISO. `not-used`: an
   * image that no disk of the VM builds on.
   */
  reason: z.enum(['hidden', 'change-tracking', 'not-a-disk', 'not-used']),
});
export type PassedOver = z.infer<typeof passedOverSchema>;

/** A name in incoming, as lstat describes it. */
export interface IncomingEntry {
  name: string;
  /** `unnamed`: its name is not UTF-8, so it can be listed but not opened. `unreadable`: see `problem`. */
  type: 'file' | 'directory' | 'symlink' | 'special' | 'unnamed' | 'unreadable';
  /** Bytes; 0 unless it is a file. */
  size: number;
  /** For a directory, its contents. */
  children?: readonly IncomingEntry[];
  problem?: ErrorRecord;
}

/**
 * What the header of one file says, for grouping. `path` is the name in incoming, or `directory/name`.
 * Produced by `probeIncoming` (spool/header-facts.ts) from a file opened with O_NOFOLLOW; tests use literal
 * facts.
 */
export interface HeaderFacts {
  /**
   * `disk`: a self-contained image. `extent`: a piece that needs its descriptor. `description`: VMX or OVF.
   * `order`: a job.toml that says where to fetch a VM. `nothing`: the first bytes are there but not of a known format, so waiting does not help. `unreadable`:
   * not enough bytes yet to decide.
   */
  kind: 'disk' | 'extent' | 'description' | 'order' | 'nothing' | 'unreadable';
  format: string | null;
  /** Plain names of the other files that this one needs. */
  needs: readonly string[];
  /**
   * Plain names of files that it refers to by a path: they belong to it if they exist, but are not waited
   * for.
   */
  uses?: readonly string[];
  contentId: string | null;
  parentId: string | null;
  /** What is missing, for people; null if all bytes are there. */
  incomplete: string | null;
  /**
   * For a `.vmsd`, the disks that a snapshot froze: each has a delta somewhere, without which it must not be
   * claimed.
   */
  frozen?: readonly string[];
  /** It has tables that show whether it is complete, and they have not been checked yet. */
  isUnchecked?: boolean;
}
export type Probe = (path: string) => Promise<HeaderFacts>;

/** Something that was dropped, or is being dropped. Claimed as a whole. */
export interface Drop {
  /** Stable name for the queue and `list`: the file or directory that represents the drop (`web01.vmdk`). */
  name: string;
  /** Default name of the VM, safe for file names and libvirt. */
  vm: string;
  /** All names in incoming that belong to it, including the job.toml; sorted. */
  entries: string[];
  /** Path of its job.toml relative to incoming; null without one. */
  options: string | null;
  /**
   * What it waits for; null if everything is there, so that it may be claimed after `settle_seconds` without
   * a change.
   */
  waiting: Waiting | null;
  /**
   * Set if waiting does not help and nothing in it may be opened (links, devices): it is claimed and fails
   * with this error.
   */
  refused: ErrorRecord | null;
  /** It cannot be read, and stays where it is until its owner fixes that. */
  problem?: ErrorRecord;
}

/** What a drop waits for. `names` are of files; `waitingText` (spool/waiting-text.ts) makes the sentence. */
export type Waiting =
  /**
   * Files that others need, or the descriptor or the delta of the named file. `more`: how many are not named.
   */
  | { kind: 'missing'; what: 'files' | 'descriptor' | 'delta'; names: string[]; more: number }
  /**
   * A file that is still being written, and the name that shows it: its own for now, or that of the state which
   * a download tool keeps beside it.
   */
  | { kind: 'writing'; names: string[]; shownBy: string }
  /** A file that is still incomplete; `why` is for people. */
  | { kind: 'unfinished'; names: string[]; why: string }
  /** A file whose tables must still be checked; the drop's waiting time has not started. */
  | { kind: 'unchecked'; names: string[] }
  /** A directory without a disk. */
  | { kind: 'no-disk'; names: string[] };

export interface Grouping {
  drops: Drop[];
  /** Names that are not drops, with the reason: `partial`, `hidden`, `job-without-disk`, `not-a-disk`. */
  ignored: { name: string; reason: string }[];
  /** Not every header was checked, so grouping must be repeated soon. */
  isUnfinished?: boolean;
}
