import { expect, it } from 'vitest';
import { GuestTree, type TreeEntry } from '../../../src/guest/tree.js';

const entry = (path: string, type: TreeEntry['type'] = 'file'): TreeEntry => ({
  path,
  type,
  mode: 0o644,
  uid: 0,
  gid: 0,
  size: 0,
});

it('lists the names directly in a directory, sorted, also after a change', () => {
  const tree = new GuestTree([
    entry('/', 'directory'),
    entry('/etc', 'directory'),
    entry('/etc/b'),
    entry('/etc/a', 'directory'),
    entry('/etc/a/deep'),
    entry('/etcetera'),
  ]);
  expect(tree.list('/')).toEqual(['etc', 'etcetera']);
  expect(tree.list('/etc')).toEqual(['a', 'b']);
  const draft = tree.draft();
  expect(draft.list('/etc')).toEqual(['a', 'b']);
  draft.put(entry('/etc/aa'));
  draft.put(entry('/etc/aa'));
  expect(draft.list('/etc')).toEqual(['a', 'aa', 'b']);
  draft.remove('/etc/b');
  expect(draft.list('/etc')).toEqual(['a', 'aa']);
  expect(tree.list('/etc')).toEqual(['a', 'b']);
  expect(tree.list('/nowhere')).toEqual([]);
});

it('answers a question for each of very many directories in seconds', () => {
  const directories = Array.from({ length: 60_000 }, (_, n) => `/lib/modules/${n}`);
  const tree = new GuestTree(
    directories.flatMap((path) => [entry(path, 'directory'), entry(`${path}/modules.dep`)]),
  );
  const started = performance.now();
  expect(directories.filter((path) => tree.list(path).length !== 1)).toEqual([]);
  expect(performance.now() - started).toBeLessThan(10_000);
}, 60_000);
