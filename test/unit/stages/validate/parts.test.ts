import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { UefiImages } from '../../../../src/machine/architecture.js';
import { findUefi, freshVariables } from '../../../../src/machine/firmware.js';
import { blockTotals } from '../../../../src/stages/validate/boot.js';
import { BootGate } from '../../../../src/stages/validate/boot-gate.js';

const never = new AbortController().signal;
const settle = () => new Promise((resolve) => setTimeout(resolve, 5));

describe('BootGate', () => {
  /** A boot that runs until `end` is called; `log` shows the order. */
  function boots(log: string[]) {
    return (name: string) => {
      let end: () => void = () => {};
      const ended = new Promise<void>((resolve) => {
        end = resolve;
      });
      const run = async () => {
        log.push(`${name} begins`);
        await ended;
        log.push(`${name} ends`);
      };
      return { run, end: () => end() };
    };
  }

  it('lets boots run side by side', async () => {
    const log: string[] = [];
    const boot = boots(log);
    const gate = new BootGate();
    const [a, b] = [boot('a'), boot('b')];
    const all = Promise.all([gate.shared(never, a.run), gate.shared(never, b.run)]);
    await settle();
    expect(log).toEqual(['a begins', 'b begins']);
    a.end();
    b.end();
    await all;
  });

  it('gives one boot the host for itself, and holds the later ones back', async () => {
    const log: string[] = [];
    const boot = boots(log);
    const gate = new BootGate();
    const [before, alone, after] = [boot('before'), boot('alone'), boot('after')];
    const all = [gate.shared(never, before.run)];
    await settle();
    all.push(gate.alone(never, alone.run));
    await settle();
    all.push(gate.shared(never, after.run));
    for (const { end } of [before, alone, after]) {
      await settle();
      end();
    }
    await Promise.all(all);
    expect(log).toEqual([
      'before begins',
      'before ends',
      'alone begins',
      'alone ends',
      'after begins',
      'after ends',
    ]);
  });

  it('lets two go alone one after the other, also when one fails', async () => {
    const gate = new BootGate();
    const failing = gate.alone(never, () => Promise.reject(new Error('boot')));
    const second = gate.alone(never, () => Promise.resolve(2));
    await expect(failing).rejects.toThrow('boot');
    expect(await second).toBe(2);
  });

  it('stops waiting when aborted, and others go on', async () => {
    const boot = boots([])('running');
    const gate = new BootGate();
    const running = gate.shared(never, boot.run);
    await settle();
    const controller = new AbortController();
    const waiting = gate.alone(controller.signal, () => Promise.resolve());
    controller.abort(new Error('cancelled'));
    await expect(waiting).rejects.toThrow('cancelled');
    expect(await gate.shared(never, () => Promise.resolve(1))).toBe(1);
    boot.end();
    await running;
  });
});

describe('UEFI firmware', () => {
  const architecture = (images: readonly UefiImages[], secureImages: readonly UefiImages[] = []) => ({
    uefi: { images, secureImages, debian: '', fedora: '' },
  });
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'h2k-uefi-'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  it('is the first that is whole, and its variables are copied', async () => {
    const [half, whole] = ['half', 'whole'].map((name) => ({
      code: join(directory, `${name}.code`),
      variables: join(directory, `${name}.vars`),
    })) as [{ code: string; variables: string }, { code: string; variables: string }];
    await writeFile(half.code, 'code');
    await writeFile(whole.code, 'code');
    await writeFile(whole.variables, 'pristine');
    const found = await findUefi(architecture([half, whole]));
    expect(found).toBe(whole);
    const own = await freshVariables(whole, join(directory, 'own'));
    await writeFile(own.variables, 'changed');
    expect(await readFile(whole.variables, 'utf8')).toBe('pristine');
  });

  it('is undefined where there is none', async () => {
    const images = [{ code: join(directory, 'x'), variables: join(directory, 'y') }];
    expect(await findUefi(architecture(images))).toBeUndefined();
  });

  it('has Microsoft’s keys where Secure Boot is asked for', async () => {
    const [plain, secure] = ['plain', 'secure'].map((name) => ({
      code: join(directory, `${name}.code`),
      variables: join(directory, `${name}.vars`),
    })) as [UefiImages, UefiImages];
    for (const file of [plain.code, plain.variables, secure.code, secure.variables])
      await writeFile(file, '');
    expect(await findUefi(architecture([plain], [secure]), { secureBoot: true })).toBe(secure);
    expect(await findUefi(architecture([plain]), { secureBoot: true })).toBeUndefined();
  });
});

describe('blockTotals', () => {
  it('adds up all drives of query-blockstats', () => {
    const stats = { rd_operations: 3, wr_operations: 2, rd_bytes: 4096 };
    expect(blockTotals([{ stats }, { stats: { ...stats, rd_bytes: 1 } }])).toEqual({
      operations: 10,
      readBytes: 4097,
    });
  });
});
