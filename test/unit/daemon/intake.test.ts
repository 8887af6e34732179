import { mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { Intake } from '../../../src/daemon/intake.js';
import { run } from '../../../src/tools/run.js';
import { silent } from '../engine/fakes.js';
import { scratchDirectory, scratchQueue } from '../queue/scratch.js';
import { daemonParts, spoolConfig } from './support.js';

const WRITTEN = 'still open for writing';

/**
 * An intake whose rounds end after one drop. Those of `written` are still open for writing, and stand first
 * by name.
 */
async function crowd(
  written: readonly string[],
  others: readonly string[],
  {
    work,
    backoffFactor = 0,
    maxCopies = 4,
  }: { work?: string; backoffFactor?: number; maxCopies?: number } = {},
) {
  const directory = scratchDirectory();
  const at = (name: string) => join(directory, name);
  const base = spoolConfig(directory, { watch: { settle_seconds: 0.1, poll_seconds: 0.2 } });
  const config = { ...base, spool: { ...base.spool, ...(work === undefined ? {} : { work }) } };
  const tries: string[] = [];
  const { claims, ...rest } = scratchQueue(directory);
  const record: typeof claims.record = (claim) => {
    tries.push(claim.dropName);
    return claims.record(claim);
  };
  const parts = daemonParts({ ...rest, claims: { ...claims, record } }, config);
  const jobs = new Set<string>();
  const told: string[] = [];
  parts.events.on('job:changed', ({ dropName }) => jobs.add(dropName));
  parts.events.on('drop:waiting', ({ waiting, waitingFor }) =>
    told.push(`${waiting.drop.name}: ${waitingFor.replace(/, \d+ s$/, '')}`),
  );
  parts.events.on('drop:gone', (name) => told.push(`${name} gone`));
  for (const name of [...written, ...others])
    writeFileSync(join(at('incoming'), name), Buffer.alloc(4096, name));
  const writers: FileHandle[] = [];
  for (const name of written) writers.push(await open(join(at('incoming'), name), 'r+'));
  const intake = new Intake({
    ...{ queue: parts.queue, admission: parts.admission, events: parts.events },
    ...{ backoffFactor, maxCopies },
    config: () => config,
    log: silent,
    onJob: () => {},
    roundSeconds: 0,
  });
  onTestFinished(() => intake.stop());
  onTestFinished(async () => void (await Promise.all(writers.map((writer) => writer.close()))));
  intake.start();
  const claimed = () => [...jobs].sort();
  const until = async (isSo: () => boolean) => {
    for (let left = 300; left > 0 && !isSo(); left -= 1) await sleep(20);
  };
  const { queue } = parts;
  return { intake, queue, claimed, told, tries, until, writers, incoming: at('incoming') };
}

describe('Intake in rounds', () => {
  it('claims what stands behind drops that have to wait', async () => {
    const { claimed, until, incoming } = await crowd(['a.raw', 'b.raw'], ['c.raw', 'd.raw']);
    await until(() => claimed().length === 2);
    expect(claimed()).toEqual(['c.raw', 'd.raw']);
    expect(readdirSync(incoming).sort()).toEqual(['a.raw', 'b.raw']);
  });

  it('says what each drop waits for, not only those of the last round, and claims them when it is over', async () => {
    const { intake, claimed, until, writers } = await crowd(['a.raw', 'b.raw', 'c.raw'], []);
    const reasons = () => intake.waiting().map(({ waitingFor }) => waitingFor);
    await until(() => reasons().length === 3 && reasons().every((reason) => reason === WRITTEN));
    // Over some rounds: each of them tries one.
    for (let times = 0; times < 30; times += 1) {
      expect(reasons()).toEqual([WRITTEN, WRITTEN, WRITTEN]);
      await sleep(20);
    }
    for (const writer of writers) await writer.close();
    writers.length = 0;
    await until(() => claimed().length === 3);
    expect(claimed()).toEqual(['a.raw', 'b.raw', 'c.raw']);
    expect(intake.waiting()).toEqual([]);
  });

  it('tries one again that had to wait, although others keep arriving', async () => {
    const others = Array.from({ length: 6 }, (_, index) => `m${index}.raw`);
    const { claimed, until, writers, incoming, intake } = await crowd(['a.raw'], others);
    await until(() => intake.waiting().some(({ waitingFor }) => waitingFor === WRITTEN));
    for (const writer of writers) await writer.close();
    writers.length = 0;
    // Each round claims one, and meets two that are new.
    for (let arrived = 0; arrived < 36; arrived += 2) {
      for (const name of [arrived, arrived + 1])
        writeFileSync(join(incoming, `z${name}.raw`), Buffer.alloc(4096, 'z'));
      await sleep(220);
    }
    expect(claimed()).toContain('a.raw');
    expect(claimed().length).toBeLessThan(36);
  });
});

describe('a drop whose claim fails', () => {
  it.runIf(process.geteuid?.() === 0)(
    'is not copied onto another filesystem again and again, and keeps no other one',
    async () => {
      const work = mkdtempSync('/dev/shm/h2k-test-');
      onTestFinished(() => rmSync(work, { recursive: true }));
      const { intake, claimed, tries, until, incoming } = await crowd([], [], { work, backoffFactor: 1000 });
      const stuck = join(incoming, 'a.raw');
      writeFileSync(stuck, Buffer.alloc(4096, 'a'));
      // Not even root may move it: that shows when it has been copied (or, on a busy machine, that it
      // changed).
      await run('chattr', ['+i', stuck]);
      onTestFinished(async () => void (await run('chattr', ['-i', stuck], { okCodes: [0, 1] })));
      await until(() => tries.length > 0);
      writeFileSync(join(incoming, 'b.raw'), Buffer.alloc(4096, 'b'));
      await until(() => claimed().length > 0);
      await sleep(1000);
      expect(tries).toEqual(['a.raw', 'b.raw']);
      expect(claimed()).toEqual(['b.raw']);
      expect(intake.waiting()).toMatchObject([
        { waitingFor: expect.stringMatching(/^spool\.(not-permitted|drop-changed)/) },
      ]);

      // Another file under that name is another drop.
      await run('chattr', ['-i', stuck]);
      writeFileSync(join(incoming, '.new'), Buffer.alloc(4096, 'n'));
      renameSync(join(incoming, '.new'), stuck);
      await until(() => claimed().length === 2);
      expect(claimed()).toEqual(['a.raw', 'b.raw']);
    },
  );
});

describe('drops on another filesystem', () => {
  /** Larger ones are copied by cp(1): here one that waits until it may. */
  async function slowCopies() {
    const place = scratchDirectory();
    const work = mkdtempSync('/dev/shm/h2k-test-');
    onTestFinished(() => rmSync(work, { recursive: true }));
    const script = '#!/bin/sh\nwhile [ ! -e "$(dirname "$0")/go" ]; do sleep 0.02; done\nexec /bin/cp "$@"\n';
    writeFileSync(join(place, 'cp'), script, { mode: 0o755 });
    vi.stubEnv('PATH', `${place}:${process.env.PATH}`);
    onTestFinished(() => void vi.unstubAllEnvs());
    const go = () => writeFileSync(join(place, 'go'), '');
    const spool = await crowd([], [], { work, maxCopies: 2 });
    const reasonOf = (name: string) =>
      spool.intake.waiting().find(({ waiting }) => waiting.drop.name === name)?.waitingFor;
    const drop = (name: string, bytes: number) =>
      writeFileSync(join(spool.incoming, name), Buffer.alloc(bytes, name));
    return { ...spool, work, go, reasonOf, drop };
  }
  const COPYING = 'being copied from another filesystem';
  const LARGE = 400_000;

  it('are copied beside each other: a large one keeps no small one', async () => {
    const { drop, until, reasonOf, claimed, go, intake } = await slowCopies();
    drop('large.raw', LARGE);
    await until(() => reasonOf('large.raw') === COPYING);
    drop('small.raw', 4096);
    await until(() => claimed().length === 1);
    expect(claimed()).toEqual(['small.raw']);
    expect(reasonOf('large.raw')).toBe(COPYING);
    go();
    await until(() => claimed().length === 2 && intake.waiting().length === 0);
    expect(claimed()).toEqual(['large.raw', 'small.raw']);
    expect(intake.waiting()).toEqual([]);
  });

  it('are copied so many at once, and the others say what they wait for', async () => {
    const { drop, until, reasonOf, claimed, go } = await slowCopies();
    const names = ['a.raw', 'b.raw', 'c.raw'];
    for (const name of names) drop(name, LARGE);
    const reasons = () => names.map(reasonOf).sort();
    await until(() => reasons().every((reason) => reason !== undefined && !reason.startsWith('settling')));
    await sleep(500);
    expect(reasons()).toEqual([COPYING, COPYING, 'other drops are being copied']);
    go();
    await until(() => claimed().length === 3);
    expect(claimed()).toEqual(names);
  });

  it('are given back at once when the daemon stops', async () => {
    const { drop, until, reasonOf, intake, work, incoming, queue } = await slowCopies();
    drop('large.raw', LARGE);
    await until(() => reasonOf('large.raw') === COPYING);
    await intake.stop();
    expect(readdirSync(incoming)).toEqual(['large.raw']);
    expect(readdirSync(work)).toEqual([]);
    expect(await queue.claims.pending()).toEqual([]);
  });
});

describe('what is told of drops', () => {
  it('is each new reason once, and the end', async () => {
    const { told, claimed, until, writers, incoming } = await crowd(['a.raw'], []);
    await until(() => told.length === 2);
    writeFileSync(join(incoming, 'b.vmdk'), '# Disk Desc');
    await until(() => told.length === 3);
    rmSync(join(incoming, 'b.vmdk'));
    await until(() => told.length === 4);
    for (const writer of writers) await writer.close();
    writers.length = 0;
    await until(() => claimed().length === 1 && told.length === 5);
    expect(told).toEqual([
      'a.raw: settling',
      `a.raw: ${WRITTEN}`,
      expect.stringMatching(/^b\.vmdk: b\.vmdk: /),
      'b.vmdk gone',
      'a.raw gone',
    ]);
  });
});
