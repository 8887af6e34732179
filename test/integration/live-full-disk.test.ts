import { readdir } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { QUIET, StepHost } from './support/step-host.ts';

/** The host's only filesystem is filled by somebody else while a plan is applied or undone. */
let host: StepHost;
beforeAll(async () => {
  if (process.getuid?.() === 0) host = await StepHost.create({ imageMib: 3 });
});
afterAll(() => host?.remove());

describe.runIf(process.getuid?.() === 0)('a disk that is full from any step on', () => {
  test('leaves the host as it was, or has the whole plan, which is undone when there is room again', async () => {
    await host.make();
    const before = await host.look();
    expect(await host.apply(QUIET, host.othersOfEachKind())).toBe('applied');
    const after = await host.look();
    let applied = 0;
    const { steps, outcomes } = await host.everyStep(
      'full',
      async (outcome) => {
        if (outcome !== 'applied') {
          expect(await host.look()).toBe(before);
          expect(await readdir(host.place)).not.toContain('backups');
          return;
        }
        applied += 1;
        expect(await host.look()).toBe(after);
        await host.fill();
        await expect(host.rollback()).rejects.toMatchObject({ code: 'live.not-restored' });
        expect(await host.look()).toBe(after);
        await host.free();
        await host.rollback();
        expect(await host.look()).toBe(before);
      },
      host.othersOfEachKind(),
    );
    expect(applied).toBeGreaterThan(5);
    expect(steps - applied).toBeGreaterThan(10);
    expect([...outcomes].sort()).toEqual([
      'applied',
      'live.backup-failed',
      'live.no-space',
      'live.not-writable',
      'live.unproven',
    ]);
  });

  test('stops a rollback before its first file, or not at all', async () => {
    await host.make();
    const before = await host.look();
    expect(await host.apply(QUIET, host.othersOfEachKind())).toBe('applied');
    const after = await host.look();
    await host.save();
    const codes = new Set<number | null>();
    await host.everyStepBack('full', async (code) => {
      codes.add(code);
      expect(await host.look()).toBe(code === 0 ? before : after);
      await host.free();
      await host.restore();
      expect(await host.look()).toBe(before);
    });
    expect([...codes].sort()).toEqual([0, 52]);
  });
});
