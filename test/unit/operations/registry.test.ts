import { expect, it } from 'vitest';
import { KINDS, operationSchema } from '../../../src/operations/registry.js';

it('has each kind once', () => {
  const names = KINDS.map(({ op }) => op);
  expect(names).toEqual([...new Set(names)]);
});

it('reads the operations of its kinds and no others', () => {
  const run = { op: 'run', fixer: 'x', reason: 'y', command: ['true'] };
  expect(operationSchema.parse(run)).toEqual(run);
  for (const other of [
    { ...run, op: 'format_disk' },
    { ...run, command: 'true' },
    { ...run, fixer: undefined },
  ])
    expect(operationSchema.safeParse(other).success).toBe(false);
});
