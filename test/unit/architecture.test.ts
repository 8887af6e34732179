import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { FLOORS, floorOf, floorsPicture, readImports, readRooms, roomOf } from '../lab/floors.ts';

const PICTURE = fileURLToPath(new URL('../../docs/floors.svg', import.meta.url));
const imports = await readImports();

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
    const names = FLOORS.map(({ name }) => name);
    expect((await readRooms()).filter((room) => !names.includes(room))).toEqual([]);
  });

  test('imports point downwards', () => {
    expect(imports.length).toBeGreaterThan(1000);
    const upwards = imports.filter(({ from, to }) => {
      const [above, below] = [roomOf(from), roomOf(to)];
      return above !== below && floorOf(below) >= floorOf(above);
    });
    expect(upwards.map(({ from, to }) => `${from} -> ${to}`)).toEqual([]);
  });

  test('no folder, at any depth, is in a cycle', () => {
    const edges = new Map<string, Set<string>>();
    for (const { from, to } of imports) {
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

  test('a guest is reached through access/ alone: only what composes the pipeline knows the appliance', () => {
    const outside = imports.filter(
      ({ from, to }) => roomOf(to) === 'appliance' && roomOf(from) !== 'appliance',
    );
    expect(outside.map(({ from }) => from)).toEqual(['stages/pipeline.ts']);
  });

  test('a guest that runs is reached by `live` alone', () => {
    const outside = imports.filter(({ from, to }) => roomOf(to) === 'ssh' && roomOf(from) !== 'ssh');
    expect([...new Set(outside.map(({ from }) => roomOf(from)))].sort()).toEqual(['commands', 'live']);
  });

  test('the product does not import its tests', () => {
    expect(imports.filter(({ to }) => relative('.', to).startsWith('..'))).toEqual([]);
  });

  test('docs/floors.svg shows them as they are (UPDATE_DOCS=1 draws it again)', async () => {
    const picture = floorsPicture(await readRooms(), imports);
    if (process.env.UPDATE_DOCS === '1') writeFileSync(PICTURE, picture);
    else expect(readFileSync(PICTURE, 'utf8')).toBe(picture);
  });
});
