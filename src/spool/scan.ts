import { lstat, readdir } from 'node:fs/promises';
import {
  type Drop,
  type Grouping,
  type IncomingEntry,
  isDue,
  MIN_PATIENCE_SECONDS,
  PATIENCE_FACTOR,
} from './group-types.js';
import { type Look, lookAt } from './look.js';
import { nextLook, quietSeconds, type Settling, settle } from './settle.js';

export interface ScanRequest {
  directory: string;
  /** Names that are nothing of ours. */
  isHidden(name: string): boolean;
  /** Names of files that are still being written: grouping wants to know of them, but nobody looks at them. */
  isPartial(name: string): boolean;
  /** `stamps` by name: a header has to be read again only when its file's stamp is another one. */
  group(entries: readonly IncomingEntry[], stamps: ReadonlyMap<string, string>): Promise<Grouping>;
  settleSeconds(): number;
  pollSeconds(): number;
  /** List each time: where a directory's mtime cannot be trusted (network filesystems). */
  alwaysList: boolean;
  /** Monotonic, seconds. */
  now(): number;
}

/** A drop that is not claimed yet. */
export interface WaitingDrop {
  drop: Drop;
  looks: Look[];
  quietSeconds: number;
  /** Settled: it may be claimed now. */
  due: boolean;
}

export interface Scan {
  /** False: incoming is not there (not mounted?). Nothing is concluded from that. */
  available: boolean;
  waiting: WaitingDrop[];
  ignored: Grouping['ignored'];
  /** When something may become due or is to be looked at again, by the request's clock. */
  nextLook: number;
}

/** How often a name that grouping ignores is looked at. */
const IGNORED_INTERVAL_SECONDS = 600;

interface Known {
  look: Look;
  settling: Settling;
}

/** Directory times are of the kernel's tick, a few milliseconds; a younger mtime may hide a change of the same tick. */
const TRUSTED_MTIME_AGE_MS = 2_000;

/**
 * The truth about incoming. A listing is only made when the directory's mtime changed, a name is only looked at when it is new, hinted at, or its time has
 * come, and drops are only grouped again when a look found something else: at rest a scan is one lstat of the directory.
 */
export class Scanner {
  readonly #request: ScanRequest;
  readonly #known = new Map<string, Known>();
  #listed: { identity: string; names: string[]; trusted: boolean } | null = null;
  #partials: string[] = [];
  /** The listing that was gone through last, and when one of its names is to be looked at again. */
  #seen: string[] | null = null;
  #nextLookAt = 0;
  #ignored: ReadonlySet<string> = new Set();
  #grouping: Grouping = { drops: [], ignored: [] };

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
        nextLook: nextTry,
      };
    }
    const isSame = names === this.#seen && hints.size === 0;
    if (!isSame || now >= this.#nextLookAt) await this.#lookAll(names, hints, now);
    return {
      available: true,
      waiting: this.#waiting(),
      ignored: this.#grouping.ignored,
      nextLook: Math.min(this.#nextLookAt, now + this.#request.pollSeconds()),
    };
  }

  async #lookAll(names: string[], hints: ReadonlySet<string>, now: number): Promise<void> {
    const { isPartial } = this.#request;
    const partials = names.filter(isPartial).sort();
    let changed = partials.join('/') !== this.#partials.join('/');
    this.#partials = partials;
    changed = this.#forgetAllBut(new Set(names)) || changed;
    for (const name of names) {
      if (isPartial(name)) continue;
      const known = this.#known.get(name);
      if (known !== undefined && !hints.has(name) && now < this.#nextLook(name, known.settling)) continue;
      changed = (await this.#look(name, now)) || changed;
    }
    if (changed) await this.#group();
    this.#seen = names;
    this.#nextLookAt = Number.POSITIVE_INFINITY;
    for (const [name, { settling }] of this.#known) {
      this.#nextLookAt = Math.min(this.#nextLookAt, this.#nextLook(name, settling));
    }
  }

  /** Looks once more at a drop that is due: true when it is still as it was. Otherwise its wait has started again. */
  async confirm({ drop }: WaitingDrop): Promise<boolean> {
    const now = this.#request.now();
    let changed = false;
    for (const name of drop.entries) changed = (await this.#look(name, now)) || changed;
    if (changed) await this.#group();
    this.#seen = null;
    return !changed;
  }

  async #list(): Promise<string[] | null> {
    const { directory, isHidden, alwaysList } = this.#request;
    try {
      const stats = await lstat(directory);
      const identity = `${stats.dev}:${stats.ino}:${stats.mtimeMs}:${stats.ctimeMs}`;
      if (!alwaysList && this.#listed?.trusted && this.#listed.identity === identity)
        return this.#listed.names;
      const trusted = Date.now() - stats.mtimeMs > TRUSTED_MTIME_AGE_MS;
      const names = (await readdir(directory)).filter((name) => !isHidden(name));
      this.#listed = { identity, names, trusted };
      return names;
    } catch (error) {
      if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESTALE'))
        return null;
      throw error;
    }
  }

  /** True when the name is new, gone or touched. */
  async #look(name: string, now: number): Promise<boolean> {
    const known = this.#known.get(name);
    const look = await lookAt(this.#request.directory, name);
    if (look === null) return this.#known.delete(name);
    this.#known.set(name, { look, settling: settle(known?.settling, look.stamp, now) });
    return known?.look.stamp !== look.stamp;
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
    const entries = [...[...this.#known.values()].map(({ look }) => look.entry), ...partials];
    const stamps = new Map([...this.#known].map(([name, { look }]) => [name, look.stamp]));
    this.#grouping = await this.#request.group(entries, stamps);
    this.#ignored = new Set(this.#grouping.ignored.map(({ name }) => name));
  }

  #waiting(): WaitingDrop[] {
    return this.#grouping.drops.flatMap((drop) => {
      const parts = drop.entries.flatMap((name) => this.#known.get(name) ?? []);
      if (parts.length === 0) return [];
      const quiet = quietSeconds(parts.map(({ settling }) => settling));
      const due = isDue(drop, quiet, this.#request.settleSeconds());
      return [{ drop, looks: parts.map(({ look }) => look), quietSeconds: quiet, due }];
    });
  }

  #nextLook(name: string, settling: Settling): number {
    // No drop of anything: only when somebody writes to it, and then there mostly is a hint.
    if (this.#ignored.has(name)) return settling.checkedAt + IGNORED_INTERVAL_SECONDS;
    const settleSeconds = this.#request.settleSeconds();
    const patience = Math.max(settleSeconds * PATIENCE_FACTOR, MIN_PATIENCE_SECONDS);
    const quiet = settling.checkedAt - settling.since;
    return nextLook(settling, this.#request.pollSeconds(), quiet < settleSeconds ? settleSeconds : patience);
  }
}
