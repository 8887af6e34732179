import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pack } from 'tar-stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { GuestReader } from '../../../src/access/guest-reader.js';
import { SnapshotCollector } from '../../../src/access/snapshot-collector.js';
import { applianceReader } from '../../../src/appliance/reader.js';
import { answeringSession } from '../appliance/session.js';

/** A guest of which every directory is this archive, and the names in it these. */
function readerWith(archive: Buffer, names: Buffer = Buffer.alloc(0)): GuestReader {
  const { session } = answeringSession({
    lstatns: () => ({ mode: 0o040755 }),
    tar_out_opts: (_directory: string, file: string) => writeFile(file, archive),
    // A filesystem that does not tell directories from files.
    readdir: () => [{ type: 'u', name: 'any' }],
    find0: (_directory: string, file: string) => writeFile(file, names),
  });
  return applianceReader(session, work);
}

async function archiveOf(fill: (tar: ReturnType<typeof pack>) => void): Promise<Buffer> {
  const tar = pack();
  fill(tar);
  tar.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of tar) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

let work: string;
beforeEach(async () => {
  work = await mkdtemp(join(tmpdir(), 'h2k-snapshot-test-'));
});
afterEach(() => rm(work, { recursive: true, force: true }));

describe('SnapshotCollector', () => {
  it('keeps the name of a file of /etc that is larger than any configuration, and the content of one elsewhere', async () => {
    const archive = await archiveOf((tar) => {
      tar.entry({ name: './hwdb.bin' }, Buffer.alloc(1024 ** 2 + 1));
    });
    for (const [directory, content] of [
      ['/etc', undefined],
      ['/boot', 1024 ** 2 + 1],
    ] as const) {
      const collector = new SnapshotCollector(readerWith(archive));
      await collector.capture({ directory, excludes: [] });
      const entry = collector.tree().get(`${directory}/hwdb.bin`);
      expect(entry?.size).toBe(1024 ** 2 + 1);
      expect(entry?.content?.length).toBe(content);
    }
  });

  it('refuses a configuration without end by its own error alone: nothing else is rejected behind it', async () => {
    const stray: unknown[] = [];
    const onStray = (reason: unknown) => stray.push(reason);
    process.on('unhandledRejection', onStray);
    try {
      const archive = await archiveOf((tar) => {
        for (let n = 0; n < 49; n++) tar.entry({ name: `./f${n}` }, Buffer.alloc(1024 ** 2));
      });
      const collector = new SnapshotCollector(readerWith(archive));
      await expect(collector.capture({ directory: '/etc', excludes: [] })).rejects.toMatchObject({
        code: 'inspect.configuration-too-large',
      });
      await new Promise((resolve) => setTimeout(resolve, 50));
      expect(stray).toEqual([]);
      expect(await readdir(work)).toEqual([]);
    } finally {
      process.off('unhandledRejection', onStray);
    }
  });

  it('gives a hard link the content of the file it is another name of', async () => {
    const archive = await archiveOf((tar) => {
      tar.entry({ name: './fstab.orig' }, '/dev/sda1 / ext4 defaults 0 1\n');
      tar.entry({ name: './fstab', type: 'link', linkname: './fstab.orig' });
    });
    const collector = new SnapshotCollector(readerWith(archive));
    await collector.capture({ directory: '/etc', excludes: [] });
    expect(collector.tree().text('/etc/fstab')?.text).toBe('/dev/sda1 / ext4 defaults 0 1\n');
  });

  it('keeps no content for a name that is not UTF-8: what is planned for it would go to another file', async () => {
    const archive = await archiveOf((tar) => tar.entry({ name: './caf~.conf' }, 'text'));
    const name = archive.indexOf('~');
    archive[name] = 0xe9;
    // The header's checksum is the sum of its bytes, octal at offset 148 (POSIX ustar).
    const sum = Number.parseInt(archive.toString('latin1', 148, 154), 8) + 0xe9 - '~'.charCodeAt(0);
    archive.write(sum.toString(8).padStart(6, '0'), 148, 'latin1');
    const collector = new SnapshotCollector(readerWith(archive));
    await collector.capture({ directory: '/etc', excludes: [] });
    const [path = ''] = collector.tree().list('/etc');
    expect(path).toBe('caf\u{fffd}.conf');
    expect(collector.tree().text(`/etc/${path}`)).toBeNull();
  });

  it('refuses a list of names that would fill the memory', async () => {
    const collector = new SnapshotCollector(readerWith(Buffer.alloc(0), Buffer.alloc(65 * 1024 ** 2, 'a')));
    await expect(collector.names('/usr/bin')).rejects.toMatchObject({
      code: 'inspect.configuration-too-large',
    });
    expect(await readdir(work)).toEqual([]);
  });
});
