import { lstat, opendir } from 'node:fs/promises';
import { errorCode, isErrorCode } from '../errors/errno.js';
import { type ErrorRecord, errorRecord, Hyper2kvmError } from '../errors/error.js';
import type { Drop, Grouping, IncomingEntry } from '../model/drop.js';
import { printable } from '../text/escape-terminal.js';
import { type EntryState, readEntryState, withoutContent } from './entry-state.js';
import {
  isDue,
  MIN_PATIENCE_SECONDS,
  nextCheck,
  PATIENCE_FACTOR,
  quietSeconds,
  type Settling,
  settle,
} from './settle.js';
import { within } from './within.js';

export interface ScanRequest {
  directory: string;
  /** True for names that are ignored. */
  isHidden(name: string): boolean;
  /**
   * True for names of files that are still being written: grouping must know of them, but they are not read.
   */
  isPartial(name: string): boolean;
  /** `fingerprints` by name: a header is read again only if its file's fingerprint changed. */
  group(
    entries: readonly IncomingEntry[],
    fingerprints: ReadonlyMap<string, string>,
    signal: AbortSignal,
  ): Promise<Grouping>;
  settleSeconds(): number;
  pollSeconds(): number;
  /** List each time, because the mtime of a directory on a network filesystem cannot be trusted. */
  alwaysList: boolean;
  /** Monotonic, seconds. */
  now(): number;
  /** Ends a scan at once. */
  signal: AbortSignal;
  /** Default READ_SECONDS. */
  readSeconds?: number;
}

/** A drop that is not claimed yet. */
export interface WaitingDrop {
  drop: Drop;
  states: EntryState[];
  quietSeconds: number;
  /** Settled: it may be claimed now. */
  due: boolean;
}

export interface Scan {
  /** False if incoming does not exist (not mounted?), from which nothing is concluded. */
  available: boolean;
  waiting: WaitingDrop[];
  ignored: Grouping['ignored'];
  /** When something may become due or must be read again, by the request's clock. */
  nextCheck: number;
}

/** How often a name that grouping ignores is read. */
const IGNORED_INTERVAL_SECONDS = 600;

/** Time limit for reading the state of one name, however many files it has. */
const READ_SECONDS = 10;
/**
 * Time limit for all directories of one scan: the remaining ones are read in the next scan, so that drops are
 * claimed in between.
 */
const ROUND_SECONDS = 3;
/** A name that exceeded its limit would take as long each time, so it is read less often. */
const SLOW_INTERVAL_SECONDS = 600;
/** Each costs a kilobyte of memory. Names beyond this are seen when others are gone. */
const MAX_NAMES = 20_000;

interface Known {
  state: EntryState;
  settling: Settling;
  /** No check before this time, even after a hint. */
  notBefore: number;
}

interface Listing {
  identity: string;
  names: string[];
  directories: ReadonlySet<string>;
  trusted: boolean;
}

/**
 * Directory times have the resolution of the kernel's tick, a few milliseconds; a younger mtime may hide a
 * change within the same tick.
 */
const TRUSTED_MTIME_AGE_MS = 2_000;

/**
 * Determines what is in incoming. A listing is made only if the directory's mtime changed, a name is read
 * only if it is new, hinted at, or due, and drops are grouped again only if something changed: at rest, a
 * scan is one lstat of the directory.
 */
export class Scanner {
  readonly #request: ScanRequest;
  readonly #known = new Map<string, Known>();
  #listed: Listing | null = null;
  #partials: string[] = [];
  /** The last listing that was processed, and when one of its names is due to be read again. */
  #seen: string[] | null = null;
  #nextCheckAt = 0;
  #ignored: ReadonlySet<string> = new Set();
  #grouping: Grouping = { drops: [], ignored: [] };
  /** Directories that the last scan had no time for. */
  #left: ReadonlySet<string> = new Set();
  /** Names whose reading was abandoned and has not ended: another read would hang as well. */
  readonly #hanging = new Set<string>();

  constructor(request: ScanRequest) {
    this.#request = request;
  }

  async scan(hints: ReadonlySet<string> = new Set()): Promise<Scan> {
    const names = await this.#list();
    const now = this.#request.now();
    if (names === null) {
      const nextTry = now + this.#request.pollSeconds();
      return {
        available: false,
        waiting: this.#waiting(),
        ignored: this.#grouping.ignored,
        nextCheck: nextTry,
      };
    }
    const isSame = names === this.#seen && hints.size === 0;
    if (!isSame || now >= this.#nextCheckAt) await this.#checkAll(names, hints, now);
    return {
      available: true,
      waiting: this.#waiting(),
      ignored: this.#grouping.ignored,
      nextCheck: Math.min(this.#nextCheckAt, now + this.#request.pollSeconds()),
    };
  }

  async #checkAll(names: string[], hints: ReadonlySet<string>, now: number): Promise<void> {
    const { isPartial } = this.#request;
    const partials = names.filter(isPartial).sort();
    let changed = this.#grouping.isUnfinished === true || partials.join('/') !== this.#partials.join('/');
    this.#partials = partials;
    changed = this.#forgetAllBut(new Set(names)) || changed;
    const asked = names.filter((name) => !isPartial(name) && this.#isAsked(name, hints, now));
    // Loose files are needed together for grouping and are cheap to read; a directory is a drop by itself.
    const isDirectory = (name: string) => this.#listed?.directories.has(name) === true;
    for (const name of asked) if (!isDirectory(name)) changed = (await this.#check(name, now)) || changed;
    const directories = asked.filter(isDirectory).sort((a, b) => this.#checkedAt(a) - this.#checkedAt(b));
    const end = performance.now() + ROUND_SECONDS * 1000;
    const left = new Set<string>();
    for (const name of directories) {
      if (performance.now() > end) left.add(name);
      else changed = (await this.#check(name, now)) || changed;
    }
    this.#left = left;
    if (changed) await this.#group();
    this.#seen = names;
    this.#nextCheckAt = left.size > 0 || this.#grouping.isUnfinished ? now : Number.POSITIVE_INFINITY;
    for (const [name, known] of this.#known)
      this.#nextCheckAt = Math.min(
        this.#nextCheckAt,
        Math.max(known.notBefore, this.#nextCheck(name, known.settling)),
      );
  }

  #isAsked(name: string, hints: ReadonlySet<string>, now: number): boolean {
    const known = this.#known.get(name);
    if (known === undefined || this.#left.has(name)) return true;
    if (now < known.notBefore) return false;
    return hints.has(name) || now >= this.#nextCheck(name, known.settling);
  }

  #checkedAt(name: string): number {
    return this.#known.get(name)?.settling.checkedAt ?? Number.NEGATIVE_INFINITY;
  }

  /** Reads a due drop once more: true if it is unchanged. Otherwise its wait starts again. */
  async confirm({ drop }: WaitingDrop): Promise<boolean> {
    const now = this.#request.now();
    let changed = false;
    for (const name of drop.entries) changed = (await this.#check(name, now)) || changed;
    if (changed) await this.#group();
    this.#seen = null;
    return !changed;
  }

  async #list(): Promise<string[] | null> {
    const { directory, isHidden, alwaysList, signal } = this.#request;
    try {
      const stats = await lstat(directory);
      const identity = `${stats.dev}:${stats.ino}:${stats.mtimeMs}:${stats.ctimeMs}`;
      if (!alwaysList && this.#listed?.trusted && this.#listed.identity === identity)
        return this.#listed.names;
      const trusted = Date.now() - stats.mtimeMs > TRUSTED_MTIME_AGE_MS;
      const names: string[] = [];
      const directories = new Set<string>();
      for await (const entry of await opendir(directory)) {
        signal.throwIfAborted();
        if (isHidden(entry.name)) continue;
        if (names.length === MAX_NAMES) break;
        names.push(entry.name);
        if (entry.isDirectory()) directories.add(entry.name);
      }
      this.#listed = { identity, names, directories, trusted };
      return names;
    } catch (error) {
      if (isErrorCode(error, 'ENOENT', 'ESTALE')) return null;
      throw error;
    }
  }

  /** Returns true if the name is new, gone or touched. An error affects only that name. */
  async #check(name: string, now: number): Promise<boolean> {
    const known = this.#known.get(name);
    const state = await this.#read(name);
    if (state === null) return this.#known.delete(name);
    const isSlow = state.entry.problem?.code === 'spool.too-slow';
    const notBefore = isSlow ? now + SLOW_INTERVAL_SECONDS : 0;
    this.#known.set(name, { state, settling: settle(known?.settling, state.fingerprint, now), notBefore });
    return known?.state.fingerprint !== state.fingerprint;
  }

  async #read(name: string): Promise<EntryState | null> {
    const { directory, signal, readSeconds = READ_SECONDS } = this.#request;
    try {
      if (this.#hanging.has(name)) throw hanging();
      return await within(readSeconds, signal, (ended) => {
        this.#hanging.add(name);
        return readEntryState(directory, name, ended).finally(() => this.#hanging.delete(name));
      });
    } catch (error) {
      signal.throwIfAborted();
      const problem = unreadable(name, error);
      const state = withoutContent(name, 'unreadable');
      // A different reason counts as a change.
      return {
        ...state,
        entry: { ...state.entry, problem },
        fingerprint: `${problem.code} ${problem.message}`,
      };
    }
  }

  #forgetAllBut(names: ReadonlySet<string>): boolean {
    let changed = false;
    for (const name of this.#known.keys()) {
      if (!names.has(name)) changed = this.#known.delete(name) || changed;
    }
    return changed;
  }

  async #group(): Promise<void> {
    const partials = this.#partials.map((name) => ({ name, type: 'file', size: 0 }) satisfies IncomingEntry);
    const entries = [...[...this.#known.values()].map(({ state }) => state.entry), ...partials];
    const fingerprints = new Map([...this.#known].map(([name, { state }]) => [name, state.fingerprint]));
    this.#grouping = await this.#request.group(entries, fingerprints, this.#request.signal);
    this.#ignored = new Set(this.#grouping.ignored.map(({ name }) => name));
  }

  #waiting(): WaitingDrop[] {
    return this.#grouping.drops.flatMap((drop) => {
      const parts = drop.entries.flatMap((name) => this.#known.get(name) ?? []);
      if (parts.length === 0) return [];
      const quiet = quietSeconds(parts.map(({ settling }) => settling));
      const due = isDue(drop, quiet, this.#request.settleSeconds());
      return [{ drop, states: parts.map(({ state }) => state), quietSeconds: quiet, due }];
    });
  }

  #nextCheck(name: string, settling: Settling): number {
    // Ignored names are rarely checked again; a write to one normally triggers a watch hint.
    if (this.#ignored.has(name)) return settling.checkedAt + IGNORED_INTERVAL_SECONDS;
    const settleSeconds = this.#request.settleSeconds();
    const patience = Math.max(settleSeconds * PATIENCE_FACTOR, MIN_PATIENCE_SECONDS);
    const quiet = settling.checkedAt - settling.since;
    return nextCheck(settling, this.#request.pollSeconds(), quiet < settleSeconds ? settleSeconds : patience);
  }
}

/** What to do where that depends on why; undefined: as the catalogue says. */
const UNREADABLE: ReadonlyMap<string, string | undefined> = new Map([
  ['EACCES', undefined],
  ['ENAMETOOLONG', 'A path may have 4,096 bytes: shorten the names, or nest them less deep.'],
]);

function unreadable(name: string, error: unknown): ErrorRecord {
  if (error instanceof Hyper2kvmError) return errorRecord(error);
  const { message, advice } = errorRecord(error);
  return errorRecord(
    new Hyper2kvmError('spool.unreadable', `${printable(name)} cannot be read: ${printable(message)}`, {
      advice: UNREADABLE.has(errorCode(error) ?? '') ? UNREADABLE.get(errorCode(error) ?? '') : advice,
    }),
  );
}

function hanging(): Hyper2kvmError {
  return new Hyper2kvmError('spool.too-slow', 'reading it has not ended since the last attempt');
}
