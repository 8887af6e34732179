import { groupDrops } from './group.js';
import type { Grouping, HeaderFacts, IncomingEntry } from './group-types.js';
import { probeIncoming } from './probe.js';

/**
 * Grouping for the scanner: headers are read once, and again only when the stamp of their file (or of the directory it is in) changed. A file that cannot
 * be opened counts as not readable yet: once its patience is used up it is taken, and FETCH says what the system said.
 */
export function cachedGrouping(incoming: string) {
  let cache = new Map<string, { stamp: string; facts: HeaderFacts }>();
  return async (
    entries: readonly IncomingEntry[],
    stamps: ReadonlyMap<string, string>,
  ): Promise<Grouping> => {
    const used = new Map<string, { stamp: string; facts: HeaderFacts }>();
    const probe = async (path: string): Promise<HeaderFacts> => {
      const stamp = stamps.get(path.split('/')[0]!) ?? '';
      const known = cache.get(path);
      const facts =
        known?.stamp === stamp
          ? known.facts
          : await probeIncoming(incoming, path, { refuseHardLinks: true }).catch(unreadable);
      used.set(path, { stamp, facts });
      return facts;
    };
    const grouping = await groupDrops(entries, probe);
    cache = used;
    return grouping;
  };
}

function unreadable(error: unknown): HeaderFacts {
  if (!(error instanceof Error && 'errno' in error)) throw error;
  return { kind: 'unreadable', format: null, needs: [], contentId: null, parentId: null, incomplete: null };
}
