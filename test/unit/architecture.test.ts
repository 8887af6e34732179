import { readdir, readFile } from 'node:fs/promises';
import { dirname, join, normalize, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const SOURCES = fileURLToPath(new URL('../../src', import.meta.url));

/** The rooms from the ground up: a file may import from its own room and from those before it. `.` is src/ itself. */
const FLOORS = [
  'errors',
  'text',
  'model',
  'host',
  'files',
  'config',
  'tools',
  'disk',
  'guest',
  'machine',
  'access',
  'appliance',
  'ssh',
  'operations',
  'families',
  'sources',
  'engine',
  'stages',
  'queue',
  'spool',
  'report',
  'notifications',
  'api',
  'metrics',
  'daemon',
  'web',
  'commands',
  'handbook',
  'packaging',
  '.',
];

interface Import {
  from: string;
  to: string;
}

/** `import … from`, `export … from`, `import()`: of types too. */
const IMPORT = /(?:\bfrom|\bimport)\s*\(?\s*'(\.[^']+)'/g;

async function imports(): Promise<Import[]> {
  const files = (await readdir(SOURCES, { recursive: true })).filter((file) => file.endsWith('.ts'));
  const found = await Promise.all(
    files.map(async (file) => {
      const text = await readFile(join(SOURCES, file), 'utf8');
      return [...text.matchAll(IMPORT)].map(([, to = '']) => ({
        from: file,
        to: normalize(join(dirname(file), to)),
      }));
    }),
  );
  return found.flat();
}

const roomOf = (file: string) => (file.includes('/') ? file.slice(0, file.indexOf('/')) : '.');
const floorOf = (file: string) => FLOORS.indexOf(roomOf(file));

/** Folders that can be reached from themselves, each with one way round. */
function cycles(edges: ReadonlyMap<string, ReadonlySet<string>>): string[] {
  const done = new Set<string>();
  const found: string[] = [];
  const visit = (folder: string, path: readonly string[]): void => {
    const start = path.indexOf(folder);
    if (start >= 0) {
      found.push([...path.slice(start), folder].join(' -> '));
      return;
    }
    if (done.has(folder)) return;
    for (const next of edges.get(folder) ?? []) visit(next, [...path, folder]);
    done.add(folder);
  };
  for (const folder of edges.keys()) visit(folder, []);
  return found;
}

describe('the floors of src/', () => {
  test('every room has its floor', async () => {
    const rooms = (await readdir(SOURCES, { withFileTypes: true })).filter((entry) => entry.isDirectory());
    expect(rooms.map(({ name }) => name).filter((name) => !FLOORS.includes(name))).toEqual([]);
  });

  test('imports point downwards', async () => {
    const all = await imports();
    expect(all.length).toBeGreaterThan(1000);
    const upwards = all.filter(({ from, to }) => roomOf(from) !== roomOf(to) && floorOf(to) >= floorOf(from));
    expect(upwards.map(({ from, to }) => `${from} -> ${to}`)).toEqual([]);
  });

  test('no folder, at any depth, imports from itself over others', async () => {
    const edges = new Map<string, Set<string>>();
    for (const { from, to } of await imports()) {
      const [a, b] = [dirname(from), dirname(to)];
      if (a !== b) edges.set(a, (edges.get(a) ?? new Set()).add(b));
    }
    expect(cycles(edges)).toEqual([]);
  });

  test('a cycle is found, and named', () => {
    const edges = new Map([
      ['a', new Set(['b'])],
      ['b', new Set(['c', 'd'])],
      ['c', new Set(['a'])],
    ]);
    expect(cycles(edges)).toEqual(['a -> b -> c -> a']);
  });

  test('the product does not import its tests', async () => {
    const outside = (await imports()).filter(({ to }) => relative('.', to).startsWith('..'));
    expect(outside).toEqual([]);
  });
});
