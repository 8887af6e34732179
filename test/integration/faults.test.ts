import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { run } from '../../src/tools/run.js';
import { whyNoPowerLoss } from '../lab/faults/power.ts';
import type { Counts } from '../lab/faults/tally.ts';

/**
 * The short form of `npm run test:faults`; each finding would be in its output, which is the failure's
 * message.
 */
const CAMPAIGN = fileURLToPath(new URL('../lab/faults.ts', import.meta.url));

async function campaign(...args: string[]): Promise<Counts> {
  const { stdout, code } = await run(process.execPath, [CAMPAIGN, ...args], {
    okCodes: [0, 1],
    timeoutSeconds: 600,
  });
  const text = stdout.toString();
  expect(code, text).toBe(0);
  const counts = JSON.parse(text.trim().split('\n').at(-1) ?? '') as Counts;
  expect(counts, text).toMatchObject({ losses: 0, duplicates: 0, orphans: 0, others: 0 });
  return counts;
}

describe('no drop is lost, doubled or stuck, and nothing is left behind', () => {
  it('when the daemon is killed after a call that changes something', async () => {
    expect((await campaign('--only', 'kills', '--step', '60', '--parallel', '2')).kills).toBeGreaterThan(1);
  });

  it('when the daemon is killed at random moments', async () => {
    expect((await campaign('--only', 'random', '--step', '2')).kills).toBeGreaterThan(1);
  });

  it('when a call of the file system, the database or a spawn fails', async () => {
    const counts = await campaign('--only', 'files,database,spawns', '--step', '30', '--parallel', '2');
    expect(counts.errors).toBeGreaterThan(5);
  });

  // What the campaign found: a call that failed there once broke a promise.
  it.each([
    'database:35:ENOSPC',
    'database:36:EIO',
    'file:106:EIO',
    'spawn:2:EMFILE',
    'failpoint:claim.undone',
  ])('at %s', async (name) => {
    expect((await campaign('--case', name)).cases).toBe(1);
  });

  it.skipIf(whyNoPowerLoss() !== null)('when the power fails', async () => {
    expect((await campaign('--only', 'power', '--step', '2')).powerLosses).toBeGreaterThan(4);
  });

  it.each(['clock', 'tool-killed', 'tool-floods', 'tool-half', 'two-daemons'])(
    'under the condition %s',
    async (name) => {
      expect((await campaign('--case', `condition:${name}`)).cases).toBe(1);
    },
  );

  it.each(['full-work', 'full-disk', 'full-database', 'incoming-away'])(
    'under the condition %s',
    async (name) => {
      expect((await campaign('--case', `condition:${name}`)).cases).toBe(1);
    },
  );
});
