import {
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Claim } from '../../../src/queue/claim.js';
import { type ClaimDirectories, claimDrop, finishClaims, sourceDirectory } from '../../../src/spool/claim.js';
import { readEntryState } from '../../../src/spool/entry-state.js';
import { run } from '../../../src/tools/run.js';
import { scratchDirectory, scratchQueue, testClaim } from '../queue/scratch.js';

const signal = new AbortController().signal;
const thrown = (_claim: Claim, error: unknown) => {
  throw error;
};

function spool(work?: string): ClaimDirectories {
  const root = scratchDirectory();
  const directories = { incoming: join(root, 'incoming'), work: work ?? join(root, 'work') };
  mkdirSync(directories.incoming);
  if (work === undefined) mkdirSync(directories.work);
  return directories;
}

async function dropped(directories: ClaimDirectories, names: string[], job = 'j1'): Promise<Claim> {
  const entries = [];
  for (const name of names) {
    writeFileSync(join(directories.incoming, name), `content of ${name}`);
    const state = (await readEntryState(directories.incoming, name))!;
    const { device, inode, bornMs, fingerprint } = state;
    entries.push({ name, device, inode, bornMs, fingerprint });
  }
  return testClaim(job, { entries });
}

/**
 * /dev/shm is a tmpfs on every Linux: another filesystem than the temporary directory's, or at least one that
 * may be.
 */
function otherFilesystem(): string {
  const directory = join('/dev/shm', `h2k-test-${process.pid}-${Math.random().toString(36).slice(2)}`);
  mkdirSync(directory);
  return directory;
}

function other(): string {
  const directory = otherFilesystem();
  onTestFinished(() => rmSync(directory, { recursive: true }));
  return directory;
}
async function droppedDirectory(directories: ClaimDirectories): Promise<Claim> {
  mkdirSync(join(directories.incoming, 'vm'));
  for (const name of ['a.vmdk', 'b.vmdk']) writeFileSync(join(directories.incoming, 'vm', name), name);
  const { device, inode, bornMs, fingerprint } = (await readEntryState(directories.incoming, 'vm'))!;
  return testClaim('j1', { entries: [{ name: 'vm', device, inode, bornMs, fingerprint }] });
}

describe('claimDrop', () => {
  it('takes a directory with a name in it that is not UTF-8, for FETCH to refuse', async () => {
    const directories = spool();
    const queue = scratchQueue();
    const inside = join(directories.incoming, 'web01');
    mkdirSync(inside);
    writeFileSync(Buffer.concat([Buffer.from(`${inside}/b`), Buffer.from([0xfc, 0xff])]), '');
    const { device, inode, bornMs, fingerprint } = (await readEntryState(directories.incoming, 'web01'))!;
    const claim = testClaim('j1', { entries: [{ name: 'web01', device, inode, bornMs, fingerprint }] });
    expect((await claimDrop(queue, directories, claim, signal)).entries).toEqual(['web01']);
  });

  it('moves all entries into the job’s private directory and queues the job', async () => {
    const directories = spool();
    const queue = scratchQueue();
    const claim = await dropped(directories, ['web01.vmdk', 'web01-s001.vmdk']);
    const { ino } = statSync(join(directories.incoming, 'web01.vmdk'));
    const job = await claimDrop(queue, directories, claim, signal);
    expect(job).toMatchObject({ state: 'queued', entries: ['web01-s001.vmdk', 'web01.vmdk'] });
    expect(readdirSync(directories.incoming)).toEqual([]);
    expect(statSync(join(directories.work, 'j1')).mode & 0o777).toBe(0o700);
    expect(statSync(join(sourceDirectory(directories.work, 'j1'), 'web01.vmdk')).ino).toBe(ino);
    expect(await queue.claims.pending()).toEqual([]);
  });

  it('takes nothing when one of the names is another file by now', async () => {
    const directories = spool();
    const queue = scratchQueue();
    const claim = await dropped(directories, ['a.vmdk', 'b.vmdk']);
    writeFileSync(join(directories.incoming, 'new'), 'another b');
    renameSync(join(directories.incoming, 'new'), join(directories.incoming, 'b.vmdk'));
    await expect(claimDrop(queue, directories, claim, signal)).rejects.toMatchObject({
      code: 'spool.drop-changed',
    });
    expect(readdirSync(directories.incoming).sort()).toEqual(['a.vmdk', 'b.vmdk']);
    expect(readFileSync(join(directories.incoming, 'b.vmdk'), 'utf8')).toBe('another b');
    expect(readdirSync(directories.work)).toEqual([]);
    expect(await queue.jobs.list()).toEqual([]);
    expect(await queue.claims.pending()).toEqual([]);
  });

  it('copies onto another filesystem, and removes the originals only then', async () => {
    const other = otherFilesystem();
    try {
      const directories = spool(other);
      const queue = scratchQueue();
      const claim = await dropped(directories, ['a.vmdk']);
      mkdirSync(join(directories.incoming, 'vm'));
      writeFileSync(join(directories.incoming, 'vm', 'disk.raw'), 'inner');
      const state = (await readEntryState(directories.incoming, 'vm'))!;
      const { device, inode, bornMs, fingerprint } = state;
      claim.entries.push({ name: 'vm', device, inode, bornMs, fingerprint });
      await claimDrop(queue, directories, claim, signal);
      const source = sourceDirectory(other, 'j1');
      expect(readFileSync(join(source, 'vm', 'disk.raw'), 'utf8')).toBe('inner');
      expect(readdirSync(source)).toEqual(['a.vmdk', 'vm']);
      expect(readdirSync(directories.incoming)).toEqual([]);
    } finally {
      rmSync(other, { recursive: true });
    }
  });

  it('refuses a drop with a hard link before anything of it is copied onto another filesystem', async () => {
    const directories = spool(other());
    const queue = scratchQueue();
    const claim = await droppedDirectory(directories);
    linkSync(join(directories.incoming, 'vm', 'b.vmdk'), join(directories.incoming, '..', 'elsewhere'));
    // The first file would be copied, were there a copy.
    const ended = AbortSignal.abort(new Error('something was to be copied'));
    await expect(claimDrop(queue, directories, claim, ended)).rejects.toMatchObject({
      code: 'fetch.refused-special',
      message: 'b.vmdk has 1 more hard link(s)',
    });
    expect(readdirSync(directories.incoming)).toEqual(['vm']);
    expect(readdirSync(directories.work)).toEqual([]);
    expect(await queue.claims.pending()).toEqual([]);
  });

  it.runIf(process.geteuid?.() === 0)('takes its copies back when no original can be removed', async () => {
    const other = otherFilesystem();
    const directories = spool(other);
    const queue = scratchQueue();
    const claim = await dropped(directories, ['a.vmdk']);
    const original = join(directories.incoming, 'a.vmdk');
    try {
      // Not even root may remove it.
      await run('chattr', ['+i', original]);
      claim.entries[0]!.fingerprint = (await readEntryState(directories.incoming, 'a.vmdk'))!.fingerprint;
      await expect(claimDrop(queue, directories, claim, signal)).rejects.toMatchObject({
        code: 'spool.not-permitted',
      });
      expect(readdirSync(directories.incoming)).toEqual(['a.vmdk']);
      expect(readdirSync(other)).toEqual([]);
      expect(await queue.claims.pending()).toEqual([]);
      expect(await queue.jobs.list()).toEqual([]);
    } finally {
      await run('chattr', ['-i', original]);
      rmSync(other, { recursive: true });
    }
  });
});

describe('originals of a drop that was copied', () => {
  it.runIf(process.geteuid?.() === 0)('are no second drop where their removal stops half way', async () => {
    const directories = spool(other());
    const queue = scratchQueue();
    const immutable = join(directories.incoming, 'vm', 'b.vmdk');
    const claim = await droppedDirectory(directories);
    await run('chattr', ['+i', immutable]);
    claim.entries[0]!.fingerprint = (await readEntryState(directories.incoming, 'vm'))!.fingerprint;
    const hidden = join(directories.incoming, '.hyper2kvm-j1');
    onTestFinished(() => void run('chattr', ['-i', join(hidden, 'vm', 'b.vmdk')], { okCodes: [0, 1] }));
    const job = await claimDrop(queue, directories, claim, signal);
    expect(job).toMatchObject({ state: 'queued', entries: ['vm'] });
    expect(readdirSync(join(sourceDirectory(directories.work, 'j1'), 'vm'))).toEqual(['a.vmdk', 'b.vmdk']);
    expect(readdirSync(directories.incoming)).toEqual(['.hyper2kvm-j1']);
    await run('chattr', ['-i', join(hidden, 'vm', 'b.vmdk')]);
  });

  it('are removed by the next start, where a daemon was killed when they were hidden', async () => {
    const directories = spool();
    const queue = scratchQueue();
    const claim = { ...(await dropped(directories, ['a.vmdk', 'b.vmdk'])), phase: 'copied' as const };
    await queue.claims.record(claim);
    mkdirSync(sourceDirectory(directories.work, 'j1'), { recursive: true });
    for (const name of ['a.vmdk', 'b.vmdk'])
      writeFileSync(join(sourceDirectory(directories.work, 'j1'), name), `content of ${name}`);
    mkdirSync(join(directories.incoming, '.hyper2kvm-j1'));
    renameSync(join(directories.incoming, 'a.vmdk'), join(directories.incoming, '.hyper2kvm-j1', 'a.vmdk'));
    expect(await finishClaims(queue, directories, thrown)).toMatchObject([{ entries: ['a.vmdk', 'b.vmdk'] }]);
    expect(readdirSync(directories.incoming)).toEqual([]);
  });
});

describe('a claim in a database that is older than the directories', () => {
  it('of a drop that was being copied then, and is copied by now, is finished: the copies are all there is', async () => {
    const directories = spool();
    const queue = scratchQueue();
    await queue.claims.record({ ...(await dropped(directories, ['a.vmdk'])), phase: 'copying' });
    rmSync(join(directories.incoming, 'a.vmdk'));
    mkdirSync(sourceDirectory(directories.work, 'j1'), { recursive: true });
    writeFileSync(join(sourceDirectory(directories.work, 'j1'), 'a.vmdk'), 'copy');
    expect(await finishClaims(queue, directories, thrown)).toMatchObject([{ entries: ['a.vmdk'] }]);
    expect(readFileSync(join(sourceDirectory(directories.work, 'j1'), 'a.vmdk'), 'utf8')).toBe('copy');
  });

  it.each(['copying', 'copied'] as const)(
    'that was %s, with incoming away, keeps its copies and waits',
    async (phase) => {
      const directories = spool();
      const queue = scratchQueue();
      const claim = await dropped(directories, ['a.vmdk']);
      const entries = claim.entries.map((entry) => ({ ...entry, device: entry.device + 1 }));
      await queue.claims.record({ ...claim, entries, phase });
      rmSync(join(directories.incoming, 'a.vmdk'));
      mkdirSync(sourceDirectory(directories.work, 'j1'), { recursive: true });
      writeFileSync(join(sourceDirectory(directories.work, 'j1'), 'a.vmdk'), 'copy');
      for (let starts = 0; starts < 2; starts++) {
        const codes: unknown[] = [];
        await finishClaims(queue, directories, (_claim, error) =>
          codes.push((error as { code: string }).code),
        );
        expect(codes).toEqual(['spool.incoming-gone']);
        expect(readdirSync(sourceDirectory(directories.work, 'j1'))).toEqual(['a.vmdk']);
      }
      expect(await queue.claims.pending()).toHaveLength(1);
    },
  );

  it.runIf(process.geteuid?.() === 0)(
    'gives all back when one of the originals may not be moved',
    async () => {
      const directories = spool();
      const queue = scratchQueue();
      const claim = await dropped(directories, ['a.vmdk', 'b.vmdk']);
      const immutable = join(directories.incoming, 'b.vmdk');
      await run('chattr', ['+i', immutable]);
      onTestFinished(() => void run('chattr', ['-i', immutable], { okCodes: [0, 1] }));
      claim.entries[1]!.fingerprint = (await readEntryState(directories.incoming, 'b.vmdk'))!.fingerprint;
      await queue.claims.record({ ...claim, phase: 'copied' });
      mkdirSync(sourceDirectory(directories.work, 'j1'), { recursive: true });
      for (const name of ['a.vmdk', 'b.vmdk'])
        writeFileSync(join(sourceDirectory(directories.work, 'j1'), name), `content of ${name}`);
      const codes: unknown[] = [];
      await finishClaims(queue, directories, (_claim, error) => codes.push((error as { code: string }).code));
      expect(codes).toEqual(['spool.not-permitted']);
      expect(readdirSync(directories.incoming)).toEqual(['a.vmdk', 'b.vmdk']);
      expect(readdirSync(directories.work)).toEqual([]);
      expect(await queue.claims.pending()).toEqual([]);
      await run('chattr', ['-i', immutable]);
    },
  );

  it('whose copies are gone does not remove the originals', async () => {
    const directories = spool();
    const queue = scratchQueue();
    await queue.claims.record({ ...(await dropped(directories, ['a.vmdk'])), phase: 'copied' });
    expect(await finishClaims(queue, directories, thrown)).toEqual([]);
    expect(readdirSync(directories.incoming)).toEqual(['a.vmdk']);
    expect(await queue.claims.pending()).toEqual([]);
  });

  it('of a job that was about to be published leaves its work directory as it is', async () => {
    const directories = spool();
    const queue = scratchQueue();
    await queue.claims.record(await dropped(directories, ['a.vmdk']));
    mkdirSync(join(directories.work, 'j1', 'bundle', 'source'), { recursive: true });
    renameSync(
      join(directories.incoming, 'a.vmdk'),
      join(directories.work, 'j1', 'bundle', 'source', 'a.vmdk'),
    );
    expect(await finishClaims(queue, directories, thrown)).toEqual([]);
    expect(readdirSync(join(directories.work, 'j1', 'bundle', 'source'))).toEqual(['a.vmdk']);
    expect(await queue.claims.pending()).toEqual([]);
  });

  it('of which only half a copy is there, and no original, leaves that', async () => {
    const directories = spool();
    const queue = scratchQueue();
    await queue.claims.record({ ...(await dropped(directories, ['a.vmdk'])), phase: 'copying' });
    rmSync(join(directories.incoming, 'a.vmdk'));
    mkdirSync(join(directories.work, 'j1', 'source.copying'), { recursive: true });
    writeFileSync(join(directories.work, 'j1', 'source.copying', 'a.vmdk'), 'half');
    expect(await finishClaims(queue, directories, thrown)).toEqual([]);
    expect(readdirSync(join(directories.work, 'j1', 'source.copying'))).toEqual(['a.vmdk']);
  });
});

describe('finishClaims', () => {
  it('finishes a claim that was killed between two renames', async () => {
    const directories = spool();
    const queue = scratchQueue();
    const claim = await dropped(directories, ['a.vmdk', 'b.vmdk']);
    await queue.claims.record(claim);
    const source = sourceDirectory(directories.work, 'j1');
    mkdirSync(source, { recursive: true });
    renameSync(join(directories.incoming, 'a.vmdk'), join(source, 'a.vmdk'));
    const jobs = await finishClaims(queue, directories, thrown);
    expect(jobs.map(({ job, entries }) => [job, entries])).toEqual([['j1', ['a.vmdk', 'b.vmdk']]]);
    expect(readdirSync(directories.incoming)).toEqual([]);
  });

  it('takes no file that only has the name of one that was claimed', async () => {
    const directories = spool();
    const queue = scratchQueue();
    const claim = await dropped(directories, ['a.vmdk', 'b.vmdk']);
    await queue.claims.record(claim);
    const source = sourceDirectory(directories.work, 'j1');
    mkdirSync(source, { recursive: true });
    renameSync(join(directories.incoming, 'a.vmdk'), join(source, 'a.vmdk'));
    // Its inode number stays in use.
    renameSync(join(directories.incoming, 'b.vmdk'), join(directories.incoming, 'other'));
    writeFileSync(join(directories.incoming, 'b.vmdk'), 'a later drop');
    const [job] = await finishClaims(queue, directories, thrown);
    expect(job?.entries).toEqual(['a.vmdk']);
    expect(readdirSync(directories.incoming)).toEqual(['b.vmdk', 'other']);
  });

  it('takes no later file that has the name and was given the inode number too', async () => {
    const directories = spool();
    const queue = scratchQueue();
    const claim = await dropped(directories, ['a.vmdk', 'b.vmdk']);
    claim.entries[1]!.bornMs! -= 60_000;
    await queue.claims.record(claim);
    const source = sourceDirectory(directories.work, 'j1');
    mkdirSync(source, { recursive: true });
    renameSync(join(directories.incoming, 'a.vmdk'), join(source, 'a.vmdk'));
    const [job] = await finishClaims(queue, directories, thrown);
    expect(job?.entries).toEqual(['a.vmdk']);
    expect(readdirSync(directories.incoming)).toEqual(['b.vmdk']);
  });

  it('finishes a claim that was recorded before times of birth were', async () => {
    const directories = spool();
    const queue = scratchQueue();
    const claim = await dropped(directories, ['a.vmdk', 'b.vmdk']);
    for (const entry of claim.entries) delete entry.bornMs;
    await queue.claims.record(claim);
    const source = sourceDirectory(directories.work, 'j1');
    mkdirSync(source, { recursive: true });
    renameSync(join(directories.incoming, 'a.vmdk'), join(source, 'a.vmdk'));
    const [job] = await finishClaims(queue, directories, thrown);
    expect(job?.entries).toEqual(['a.vmdk', 'b.vmdk']);
  });

  it('undoes a claim that had no effect yet, and one whose copies are not complete', async () => {
    const directories = spool();
    const queue = scratchQueue();
    await queue.claims.record(await dropped(directories, ['a.vmdk'], 'j1'));
    await queue.claims.record({ ...(await dropped(directories, ['b.vmdk'], 'j2')), phase: 'copying' });
    mkdirSync(join(directories.work, 'j2', 'source.copying'), { recursive: true });
    writeFileSync(join(directories.work, 'j2', 'source.copying', 'b.vmdk'), 'half');
    expect(await finishClaims(queue, directories, thrown)).toEqual([]);
    expect(readdirSync(directories.incoming)).toEqual(['a.vmdk', 'b.vmdk']);
    expect(readdirSync(directories.work)).toEqual([]);
    expect(await queue.claims.pending()).toEqual([]);
  });

  it('removes, of complete copies, only the originals that were not touched since', async () => {
    const directories = spool();
    const queue = scratchQueue();
    const claim = { ...(await dropped(directories, ['a.vmdk', 'b.vmdk'])), phase: 'copied' as const };
    await queue.claims.record(claim);
    const source = sourceDirectory(directories.work, 'j1');
    mkdirSync(source, { recursive: true });
    for (const name of ['a.vmdk', 'b.vmdk']) writeFileSync(join(source, name), `content of ${name}`);
    writeFileSync(join(directories.incoming, 'b.vmdk'), 'written to after the copy');
    const [job] = await finishClaims(queue, directories, thrown);
    expect(job?.entries).toEqual(['a.vmdk', 'b.vmdk']);
    expect(readdirSync(directories.incoming)).toEqual(['b.vmdk']);
  });
});

describe('a claim onto another filesystem whose incoming was unmounted before the originals were removed', () => {
  it('waits until it is back, and keeps no other claim', async () => {
    const directories = spool();
    const queue = scratchQueue();
    const away = { ...(await dropped(directories, ['a.vmdk'], 'j1')), phase: 'copied' as const };
    // Of the filesystem that is not there; its names are then not found.
    const claim = { ...away, entries: away.entries.map((entry) => ({ ...entry, device: entry.device + 1 })) };
    rmSync(join(directories.incoming, 'a.vmdk'));
    mkdirSync(sourceDirectory(directories.work, 'j1'), { recursive: true });
    writeFileSync(join(sourceDirectory(directories.work, 'j1'), 'a.vmdk'), 'copy');
    await queue.claims.record(claim);
    await queue.claims.record({ ...(await dropped(directories, ['b.vmdk'], 'j2')), phase: 'copying' });
    const codes: unknown[] = [];
    const jobs = await finishClaims(queue, directories, (_claim, error) =>
      codes.push((error as { code: string }).code),
    );
    expect(jobs).toEqual([]);
    expect(codes).toEqual(['spool.incoming-gone']);
    expect((await queue.claims.pending()).map(({ job }) => job)).toEqual(['j1']);
    expect(readdirSync(directories.incoming)).toEqual(['b.vmdk']);
  });
});
