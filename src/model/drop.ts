import { z } from 'zod';
import type { ErrorRecord } from '../errors/error.js';

/** Where the files of a drop are. */
export const dropPlaceSchema = z.object({
  /** Absolute. */
  directory: z.string(),
  /** Names inside `directory` that are the drop; sorted. */
  entries: z.array(z.string()),
  /** Of a copy: where in the work directory the drop itself is. */
  original: z.string().optional(),
});
export type DropPlace = z.infer<typeof dropPlaceSchema>;

/** A file of a drop that is no part of what was converted: `path` as its owner knows it. */
export const passedOverSchema = z.object({
  path: z.string(),
  /**
   * `hidden`: `._web01.vmdk`. `change-tracking`: `-ctk.vmdk`. `not-a-disk`: a log, an ISO. `not-used`: an
   * image that no disk of the VM builds on.
   */
  reason: z.enum(['hidden', 'change-tracking', 'not-a-disk', 'not-used']),
});
export type PassedOver = z.infer<typeof passedOverSchema>;

/** One name in incoming, as lstat sees it. */
export interface IncomingEntry {
  name: string;
  /**
   * `unnamed`: its name is not UTF-8, so that it can be seen but not opened. `unreadable`: `problem` says
   * why.
   */
  type: 'file' | 'directory' | 'symlink' | 'special' | 'unnamed' | 'unreadable';
  /** Bytes; 0 for what is no file. */
  size: number;
  /** For a directory: what is inside. */
  children?: readonly IncomingEntry[];
  problem?: ErrorRecord;
}

/**
 * What the header of one file says, for grouping. `path` is the name in incoming, or `directory/name`. Made
 * by `probeIncoming` (src/spool/header-facts.ts) over a file opened with O_NOFOLLOW; tests give literal
 * facts.
 */
export interface HeaderFacts {
  /**
   * `disk`: an image of its own. `extent`: a piece that needs its descriptor. `description`: VMX or OVF.
   * `nothing`: no header of a known format although its first bytes are there, so waiting will not help.
   * `unreadable`: not enough bytes yet to say.
   */
  kind: 'disk' | 'extent' | 'description' | 'nothing' | 'unreadable';
  format: string | null;
  /** Plain names of the other files that this one needs. */
  needs: readonly string[];
  /**
   * Plain names of files that it refers to by a path: they belong to it where they are there, and nobody
   * waits for them.
   */
  uses?: readonly string[];
  contentId: string | null;
  parentId: string | null;
  /** Null when all bytes are there; else what is missing, for people. */
  incomplete: string | null;
  /**
   * Of a `.vmsd`: the disks that a snapshot froze. Each has a delta on it somewhere, and is not to be taken
   * without it.
   */
  frozen?: readonly string[];
  /** It has tables that say whether it is whole, and nobody has checked them so far. */
  isUnchecked?: boolean;
}
export type Probe = (path: string) => Promise<HeaderFacts>;

/** Something that was dropped, or is being dropped. Claimed as a whole. */
export interface Drop {
  /** Stable name for the queue and `list`: the file or directory that stands for the drop (`web01.vmdk`). */
  name: string;
  /** Default name of the VM: safe for file names and libvirt. */
  vm: string;
  /** All names in incoming that belong to it, sorted; the job.toml included. */
  entries: string[];
  /** Path of its job.toml relative to incoming; null without one. */
  options: string | null;
  /** Null when everything is there: then it may be claimed after `settle_seconds` without a change. */
  waiting: Waiting | null;
  /**
   * Set when no waiting helps and nothing in it may be opened (links, devices): claim it and fail it with
   * this.
   */
  refused: ErrorRecord | null;
  /** It cannot be read: it stays where it is, whatever time passes, until its owner mends that. */
  problem?: ErrorRecord;
}

/** What a drop waits for. `names` are of files; `waitingText` (spool/waiting-text.ts) makes the sentence. */
export type Waiting =
  /** Files that others need, or the descriptor or the delta of the named file. `more`: beside those named. */
  | { kind: 'missing'; what: 'files' | 'descriptor' | 'delta'; names: string[]; more: number }
  /** A file with a partial name. */
  | { kind: 'writing'; names: string[] }
  /** A file that is there, but not to its end; `why` is for people. */
  | { kind: 'unfinished'; names: string[]; why: string }
  /** The tables of a file are still to be checked: the drop's time has not begun. */
  | { kind: 'unchecked'; names: string[] }
  /** A directory without a disk. */
  | { kind: 'no-disk'; names: string[] };

export interface Grouping {
  drops: Drop[];
  /** Names that are no drops, and why: `partial`, `hidden`, `job-without-disk`, `not-a-disk`. */
  ignored: { name: string; reason: string }[];
  /** Not every header was checked: group again soon. */
  isUnfinished?: boolean;
}
