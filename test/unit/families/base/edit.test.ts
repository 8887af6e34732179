import { expect, it } from 'vitest';
import { putFile } from '../../../../src/families/base/edit.js';
import { treeOf } from '../guests.js';

const cause = { fixer: 'test', reason: 'test' };

it.each([
  ['a file whose text is not in the snapshot', { '/etc/a.conf': null }],
  ['a directory', { '/etc/a.conf/b': '' }],
  ['a link to nowhere', { '/etc/a.conf': '-> /nowhere' }],
])('a new file is not planned over %s', (_, files) => {
  expect(() => putFile(treeOf(files), '/etc/a.conf', cause, 'x')).toThrow(
    expect.objectContaining({ code: 'plan.not-readable' }),
  );
});
