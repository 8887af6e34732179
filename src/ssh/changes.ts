import type { Warning } from '../model/plan.js';

/** What is at a path of the host, as far as a change can be compared with it. */
export type FileState =
  | { type: 'absent' }
  | { type: 'file'; sha256: string; size: number; mode: number; uid: number; gid: number }
  | { type: 'symlink'; target: string };

/** Where the bytes of a file's new content come from. */
export type NewContent =
  | { kind: 'bytes'; bytes: Buffer }
  /** What is there, and these behind it. */
  | { kind: 'appended'; bytes: Buffer }
  /** A copy of another file of the host. */
  | { kind: 'copy'; from: string };

/** A change of one file of the host, complete: what must be there now, and what will be. */
export interface Change {
  /** Without links, the last component aside. */
  path: string;
  before: FileState;
  after:
    | { type: 'absent' }
    | { type: 'symlink'; target: string }
    /** `mode` of a new file; one that exists keeps its own, with its owner and its attributes. */
    | { type: 'file'; sha256: string; size: number; mode: number; content: NewContent };
  /** Directories above that do not exist yet, the outermost first. */
  missing: readonly string[];
  /** The filesystem that it is on (st_dev). */
  device: number;
  /** How many names the file has that is there now; 1 for anything else. */
  names: number;
}

/** Returns a change without its bytes: what a digest of the plan covers, and what the manifest has. */
export function describeChange({ path, before, after }: Change) {
  if (after.type !== 'file') return { path, before, after };
  const { sha256, size, mode, content } = after;
  return { path, before, after: { type: after.type, sha256, size, mode, from: content.kind } };
}

/** Returns a warning for each file with several names that gets a new content under one of them. */
export function hardLinkWarnings(changes: readonly Change[]): Warning[] {
  return changes
    .filter(({ names, after }) => names > 1 && after.type === 'file')
    .map(({ path, names }) => ({
      fixer: 'live',
      code: 'live.hard-links',
      message: `${path} has ${names} names (hard links): it gets the new content under this one, and the others keep the old content`,
    }));
}

/** False if the path already is what it is to become. */
export function changesSomething({ before, after }: Change): boolean {
  if (before.type !== after.type) return true;
  if (before.type === 'file' && after.type === 'file') return before.sha256 !== after.sha256;
  return before.type === 'symlink' && after.type === 'symlink' && before.target !== after.target;
}
