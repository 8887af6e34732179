import { errorRecord } from '../errors/error.js';
import type { Grouping, HeaderFacts, IncomingEntry } from '../model/drop.js';
import { groupDrops } from './group-drops.js';
import { probeIncoming } from './header-facts.js';
import { within } from './within.js';

/** Time to read a header: a few KiB of a file. */
const HEADER_SECONDS = 2;
/**
 * Time to check the tables of one file. With many files to check, each gets less, so that they delay the
 * others by seconds, not by hours.
 */
const MAX_TABLE_SECONDS = 2;
const MIN_TABLE_SECONDS = 0.05;
const ALL_TABLES_SECONDS = 10;
/** What is not checked in this time is left to the next scan, so that drops are claimed in between. */
const ROUND_SECONDS = 3;

interface Known {
  fingerprint: string;
  facts: HeaderFacts;
}

/**
 * Groups entries for the scanner. Headers are read once, and again only if the fingerprint of their file (or
 * of its directory) changed. A file that cannot be opened counts as unreadable for now: when its patience is
 * used up, it is claimed, and FETCH reports the system's error. If reading tables takes longer than seconds,
 * the drop is claimed without: FETCH checks all of them.
 */
export function cachedGrouping(incoming: string) {
  let cache = new Map<string, Known>();
  return async (
    entries: readonly IncomingEntry[],
    fingerprints: ReadonlyMap<string, string>,
    signal: AbortSignal,
  ): Promise<Grouping> => {
    const used = new Map<string, Known>();
    const read = (path: string, seconds: number, checkTables: boolean): Promise<HeaderFacts> =>
      within(seconds, signal, (ended) =>
        probeIncoming(incoming, path, { refuseHardLinks: true, checkTables, signal: ended }),
      );
    const header = async (path: string): Promise<HeaderFacts> => {
      const fingerprint = fingerprints.get(path.split('/')[0]!) ?? '';
      const known = used.get(path) ?? cache.get(path);
      const facts =
        known?.fingerprint === fingerprint
          ? known.facts
          : await read(path, HEADER_SECONDS, false).catch((error: unknown) => {
              signal.throwIfAborted();
              return unreadable(error);
            });
      used.set(path, { fingerprint, facts });
      return facts;
    };
    const grouping = await groupDrops(entries, header);
    cache = used;

    const unchecked = [...used].filter(([, { facts }]) => facts.isUnchecked === true);
    if (unchecked.length === 0) return grouping;
    const seconds = Math.min(
      MAX_TABLE_SECONDS,
      Math.max(MIN_TABLE_SECONDS, ALL_TABLES_SECONDS / unchecked.length),
    );
    const end = performance.now() + ROUND_SECONDS * 1000;
    let checked = 0;
    for (const [path, known] of unchecked) {
      if (performance.now() > end) break;
      const { isUnchecked: _, ...header } = known.facts;
      known.facts = await read(path, seconds, true).catch((error: unknown) => {
        signal.throwIfAborted();
        return isSystemError(error) ? unreadable(error) : header;
      });
      checked += 1;
    }
    return { ...(await groupDrops(entries, header)), isUnfinished: checked < unchecked.length };
  };
}

const UNREADABLE: HeaderFacts = {
  kind: 'unreadable',
  format: null,
  needs: [],
  contentId: null,
  parentId: null,
  incomplete: null,
};

function unreadable(error: unknown): HeaderFacts {
  if (isSystemError(error) || errorRecord(error).code === 'spool.too-slow') return UNREADABLE;
  throw error;
}

function isSystemError(error: unknown): boolean {
  return error instanceof Error && 'errno' in error;
}
