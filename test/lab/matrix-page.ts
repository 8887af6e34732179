const RESULT = 7;
const SEEN_WITH = 12;
const PEER = 13;
const NOT_RUN = 'not run';
const CHANGED = ', code has changed since';

interface Section {
  rows: Map<string, string[]>;
  /** The lists below the table, by the line before each. */
  lists: Map<string, string[]>;
  /** What is before the table. */
  head: string[];
}

/**
 * Returns the fresh section of docs/matrix.md with the rows of the page for guests that were not run here: their
 * column "seen with" tells with which commit. Results of virt-v2v are kept for the guests that have been converted
 * anew, too: nothing of this product is in them. Pure.
 */
export function keepOldRows(fresh: string, page: string): string {
  const [now, before] = [sectionOf(fresh), sectionOf(page)];
  const keeps = { row: new Set<string>(), peer: new Set<string>() };
  for (const [name, cells] of now.rows) {
    const old = before.rows.get(name);
    if (old === undefined) continue;
    if (cells[RESULT] === NOT_RUN && old[RESULT] !== NOT_RUN) {
      keeps.row.add(name);
      if (!old[SEEN_WITH]?.endsWith(CHANGED)) old[SEEN_WITH] += CHANGED;
      now.rows.set(name, old);
    } else if (cells[PEER] === NOT_RUN && old[PEER] !== NOT_RUN) {
      keeps.peer.add(name);
      cells.splice(PEER, 2, ...old.slice(PEER));
    }
  }
  const lists = new Map(now.lists);
  for (const [title, items] of before.lists) {
    const isPeers = title.includes('virt-');
    const kept = items.filter((item) => {
      const name = /^- ([^:,]+)/.exec(item)?.[1] ?? '';
      return keeps.row.has(name) || (isPeers && keeps.peer.has(name));
    });
    if (kept.length > 0) lists.set(title, [...new Set([...(lists.get(title) ?? []), ...kept])]);
  }
  const [heading = [], rule = [], ...rows] = now.rows.values();
  return [
    ...now.head,
    ...[heading, rule, ...rows].map((cells) => `| ${cells.join(' | ')} |`),
    ...[...lists].flatMap(([title, items]) => ['', title, '', ...items]),
    '',
  ].join('\n');
}

function sectionOf(text: string): Section {
  const section: Section = { rows: new Map(), lists: new Map(), head: [] };
  let list: string[] = [];
  for (const line of text.split('\n')) {
    if (line.startsWith('| ')) {
      const cells = line.slice(2, -2).split(' | ');
      section.rows.set(cells[0]!, cells);
    } else if (section.rows.size === 0) section.head.push(line);
    else if (line.startsWith('- ')) list.push(line);
    else if (line !== '') {
      list = [];
      section.lists.set(line, list);
    }
  }
  return section;
}
