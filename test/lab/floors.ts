import { readdir, readFile } from 'node:fs/promises';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

const SOURCES = fileURLToPath(new URL('../../src', import.meta.url));

/** A folder of src/, and what is in it. */
interface Room {
  name: string;
  holds: string;
}

/**
 * The rooms from the ground up. A file may import from its own room and from those before it; the
 * architecture test reads all imports. `.` is src/ itself.
 */
export const FLOORS: readonly Room[] = [
  { name: 'errors', holds: 'the one error class, the catalogue of codes' },
  { name: 'text', holds: 'escaping, formatting, tables, markup, diffs, canonical JSON' },
  { name: 'model', holds: 'the nouns: zod declarations and types' },
  { name: 'host', holds: 'this process: log, threads, failpoints, systemd' },
  { name: 'files', holds: 'durable writes, digests, leases, space, scratch' },
  { name: 'config', holds: 'options, each declared once; load, check, job.toml' },
  { name: 'tools', holds: 'the only place that starts a program; the sandbox' },
  { name: 'disk', holds: 'parsers and writers of disk formats, chains, block graph' },
  { name: 'guest', holds: 'formats of a guest: initramfs, UKI, hives, BCD, INF, signatures' },
  { name: 'machine', holds: 'one machine, three renderers; QEMU, QMP, firmware' },
  { name: 'access', holds: 'how a guest is read and written: the interface' },
  { name: 'appliance', holds: 'a guest that is off: libguestfs, in a child process' },
  { name: 'ssh', holds: 'a guest that runs: one OpenSSH connection' },
  { name: 'operations', holds: 'what FIX can do to a guest, one file a kind' },
  { name: 'families', holds: 'what is known of an operating system: inspect, fixers, boot' },
  { name: 'sources', holds: 'who gives the bytes' },
  { name: 'engine', holds: 'runs stages, and knows none: order, resume, retry, lanes' },
  { name: 'stages', holds: 'fetch flatten inspect plan fix convert validate' },
  { name: 'live', holds: 'the same plan for a guest that runs: apply, roll back' },
  { name: 'queue', holds: 'the store of jobs and checkpoints; SQLite' },
  { name: 'spool', holds: 'incoming: watch, scan, settle, group, claim' },
  { name: 'report', holds: 'report.json, report.html, the bundle' },
  { name: 'notifications', holds: 'the outbox, webhooks and commands' },
  { name: 'api', holds: 'the control socket: protocol, server, client' },
  { name: 'metrics', holds: 'what the queue knows, as Prometheus text' },
  { name: 'daemon', holds: 'the composition root: intake, worker, finish, recover' },
  { name: 'web', holds: 'the pages' },
  { name: 'commands', holds: 'one file a command' },
  { name: 'handbook', holds: 'texts made from declarations: man page, completion, docs' },
  { name: 'packaging', holds: 'the Debian package' },
  { name: '.', holds: 'cli.ts' },
];

/** Two files of src/, by their paths relative to it. */
export interface Import {
  from: string;
  to: string;
}

/** `import … from`, `export … from`, `import()`: of types too. */
const IMPORT = /(?:\bfrom|\bimport)\s*\(?\s*'(\.[^']+)'/g;

/** Every import of src/ of one of its files by another. */
export async function readImports(): Promise<Import[]> {
  const files = (await readdir(SOURCES, { recursive: true })).filter((file) => file.endsWith('.ts'));
  const found = await Promise.all(
    files.sort().map(async (file) => {
      const text = await readFile(join(SOURCES, file), 'utf8');
      return [...text.matchAll(IMPORT)].map(([, to = '']) => ({
        from: file,
        to: normalize(join(dirname(file), to)),
      }));
    }),
  );
  return found.flat();
}

/** Names of the folders in src/. */
export async function readRooms(): Promise<string[]> {
  const entries = await readdir(SOURCES, { withFileTypes: true });
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
}

export const roomOf = (file: string): string => (file.includes('/') ? file.slice(0, file.indexOf('/')) : '.');

export const floorOf = (room: string): number => FLOORS.findIndex(({ name }) => name === room);

const ROW = 24;
const LEFT = 16;
const NAME = 120;
const TEXT_WIDTH = 430;
const MARGIN = 28;
const ARC_WIDTH = 250;

/**
 * docs/floors.svg: the rooms from the roof down, and for each pair of rooms one arc from the importing room
 * to the imported one. An arc that leads up would be red; there is none. Made from the imports alone.
 */
export function floorsPicture(rooms: readonly string[], imports: readonly Import[]): string {
  const shown = FLOORS.filter(({ name }) => name === '.' || rooms.includes(name)).toReversed();
  const height = MARGIN * 2 + shown.length * ROW;
  const width = LEFT + NAME + TEXT_WIDTH + ARC_WIDTH;
  const y = (room: string) => MARGIN + shown.findIndex(({ name }) => name === room) * ROW + ROW / 2;
  const pairs = new Set(
    imports
      .map(({ from, to }) => [roomOf(from), roomOf(to)] as const)
      .filter(([from, to]) => from !== to)
      .map((pair) => pair.join(' ')),
  );
  const start = LEFT + NAME + TEXT_WIDTH;
  const arcs = [...pairs].sort().map((key) => {
    const [from = '', to = ''] = key.split(' ');
    const [a, b] = [y(from), y(to)];
    const bulge = start + 20 + (Math.abs(b - a) / height) * (ARC_WIDTH - 40) * 1.3;
    const colour = b > a ? '#3b6ea5' : '#c0392b';
    return `<path d="M${start},${a} C${bulge.toFixed(0)},${a} ${bulge.toFixed(0)},${b} ${start},${b}" stroke="${colour}" stroke-width="1" fill="none" opacity="0.55"/>`;
  });
  const rows = shown.map(({ name, holds }, index) => {
    const top = MARGIN + index * ROW;
    const title = name === '.' ? 'src/' : `${name}/`;
    return [
      `<rect x="${LEFT}" y="${top + 1}" width="${start - LEFT}" height="${ROW - 2}" rx="3" fill="${index % 2 === 0 ? '#eef3f8' : '#f7f9fb'}"/>`,
      `<text x="${LEFT + 8}" y="${top + 16}" font-weight="600">${title}</text>`,
      `<text x="${LEFT + NAME}" y="${top + 16}">${holds}</text>`,
    ].join('\n');
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12" fill="#1d2733">
<rect width="100%" height="100%" fill="#ffffff"/>
<text x="${LEFT}" y="18" font-size="11" fill="#5a6875">Each room imports only from rooms below it; an arc leads from a room to one that it imports from.</text>
${rows.join('\n')}
${arcs.join('\n')}
</svg>
`;
}
