import { describe, expect, it } from 'vitest';
import { parseIsoListing } from '../../../../../src/families/windows/drivers/iso-listing.js';

describe('a listing of 7-Zip', () => {
  const entry = (path: string, more = 'Folder = -\nSize = 7\nSymbolic Link = ') =>
    `Path = ${path}\n${more}\n`;
  it.each<[string, string, string[]]>([
    ['files', `${entry('a/b.inf')}\n${entry('c = d.inf')}`, ['a/b.inf', 'c = d.inf']],
    [
      'no folders, links and entries without a size',
      [
        entry('a', 'Folder = +\nSize = '),
        entry('b', 'Folder = -\nSize = 0\nSymbolic Link = /etc'),
        entry('c', 'Folder = -\nSize = '),
      ].join('\n'),
      [],
    ],
    [
      'no names that lead out',
      ['../a', '/a', 'a/../b', 'a//b', 'a\\b', './a', ''].map((path) => entry(path)).join('\n'),
      [],
    ],
    ['nothing', '', []],
  ])('gives %s', (_, text, paths) => {
    expect(parseIsoListing(text).map(({ path }) => path)).toEqual(paths);
  });
});
