import { expect, it } from 'vitest';
import { proveOutcomes } from '../../../src/operations/prove-outcomes.js';
import type { Operation } from '../../../src/operations/registry.js';
import { memoryWriter } from '../access/memory-writer.js';

const cause = { fixer: 'test', reason: 'test' };

it('fails where a changed file reads back otherwise, or a removed one is still there', async () => {
  const write: Operation = {
    ...{ op: 'write_file', ...cause, path: '/etc/fstab', before: 'old', after: 'new' },
    ...{ encoding: 'utf8', mode: 0o644 },
  };
  const remove: Operation = { op: 'remove', ...cause, path: '/etc/pin', before: '', encoding: 'utf8' };
  const prove = (files: Record<string, string>) => proveOutcomes(memoryWriter(files), [write, remove]);
  expect(await prove({ '/etc/fstab': 'new' })).toEqual(['2 changed files read back as planned']);
  for (const files of [{ '/etc/fstab': 'old' }, {}, { '/etc/fstab': 'new', '/etc/pin': '' }])
    await expect(prove(files)).rejects.toMatchObject({ code: 'fix.unproven' });
});

it('compares a copied loader with its original', async () => {
  const copy: Operation = { op: 'copy_file', ...cause, from: '/a', path: '/b' };
  expect(await proveOutcomes(memoryWriter({ '/a': 'loader', '/b': 'loader' }), [copy])).toHaveLength(1);
  const cut = proveOutcomes(memoryWriter({ '/a': 'loader', '/b': 'load' }), [copy]);
  await expect(cut).rejects.toMatchObject({ code: 'fix.unproven' });
});

it('takes the last word on a path', async () => {
  const write: Operation = {
    ...{ op: 'write_file', ...cause, path: '/b', before: null, after: 'text' },
    ...{ encoding: 'utf8', mode: 0o644 },
  };
  const copy: Operation = { op: 'copy_file', ...cause, from: '/a', path: '/b' };
  const prove = (content: string, operations: Operation[]) =>
    proveOutcomes(memoryWriter({ '/a': 'loader', '/b': content }), operations);
  expect(await prove('loader', [write, copy])).toEqual(['1 changed files read back as planned']);
  expect(await prove('text', [copy, write])).toHaveLength(1);
  await expect(prove('text', [write, copy])).rejects.toMatchObject({ code: 'fix.unproven' });
});
