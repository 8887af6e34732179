import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { IncomingEntry } from '../../../src/model/drop.js';
import { groupDrops } from '../../../src/spool/group-drops.js';
import { factsOf } from '../../../src/spool/header-facts.js';
import { waitingText } from '../../../src/spool/waiting-text.js';
import { bufferSource } from '../disk/buffer-source.js';
import { descriptor, MIB, realImages, withFooter } from '../disk/images.js';
import { ovfText } from '../disk/ovf-text.js';

let images: Record<string, Buffer>;
beforeAll(async () => {
  images = await realImages({
    'sparse.vmdk': ['-O', 'vmdk'],
    'stream.vmdk': ['-O', 'vmdk', '-o', 'subformat=streamOptimized'],
    'a.qcow2': ['-O', 'qcow2'],
  });
  images['footer.vmdk'] = withFooter(images['stream.vmdk']!);
});

/** The state of one growing file: null when it may be claimed. */
async function waitingFor(name: string, bytes: Buffer): Promise<string | null> {
  const entry: IncomingEntry = { name, type: 'file', size: bytes.length };
  const { drops } = await groupDrops([entry], () => factsOf(name, bufferSource(bytes)));
  expect(drops).toHaveLength(1);
  return waitingText(drops[0]!);
}

describe('a file that is still being copied is never complete', () => {
  test.each(['sparse.vmdk', 'footer.vmdk', 'a.qcow2'])('%s', async (name) => {
    const bytes = images[name]!;
    const cluster = name === 'a.qcow2' ? 65_536 : 512;
    for (let length = 0; length <= bytes.length - cluster; length += Math.ceil(bytes.length / 53))
      expect(
        await waitingFor(name, bytes.subarray(0, length)),
        `${length} of ${bytes.length}`,
      ).not.toBeNull();
    expect(await waitingFor(name, bytes)).toBeNull();
  });

  test('a raw disk, up to the end of its last partition', async () => {
    expect(await waitingFor('a.img', images.raw!.subarray(0, 2 * MIB))).toMatch(/partition table/);
    expect(await waitingFor('a.img', Buffer.alloc(MIB))).toMatch(/zeros/);
    expect(await waitingFor('a.img', images.raw!)).toBeNull();
  });

  test.each(['web01.box', 'web01.tar'])('an archive: %s', async (name) => {
    const directory = await mkdtemp(join(tmpdir(), 'h2k-facts-'));
    onTestFinished(() => rm(directory, { recursive: true }));
    await writeFile(join(directory, 'box.img'), images['a.qcow2']!);
    execFileSync('tar', ['-cf', name, 'box.img'], { cwd: directory });
    const bytes = await readFile(join(directory, name));
    expect(await waitingFor(name, bytes.subarray(0, bytes.length / 2))).not.toBeNull();
    expect(await waitingFor(name, bytes)).toBeNull();
    expect(await waitingFor(`${name}.gz`, gzipSync(bytes))).toBeNull();
  });

  test('an .ovf that is cut', async () => {
    const text = Buffer.from(ovfText(['a.vmdk']));
    const entries: IncomingEntry[] = [
      { name: 'a.vmdk', type: 'file', size: 1 },
      { name: 'x.ovf', type: 'file', size: 1 },
    ];
    const state = async (bytes: Buffer) => {
      const { drops } = await groupDrops(entries, (name) =>
        factsOf(name, bufferSource(name === 'x.ovf' ? bytes : images['sparse.vmdk']!)),
      );
      return drops.map((drop) => [drop.name, waitingText(drop)]);
    };
    expect(await state(text)).toEqual([['x.ovf', null]]);
    expect((await state(text.subarray(0, 900))).find(([name]) => name === 'x.ovf')?.[1]).toMatch(/XML/);
  });
});

test('what will never become a disk does not wait', async () => {
  expect(await waitingFor('x.vmdk', Buffer.from('shopping list\n'))).toBeNull();
  expect(await waitingFor('x.vmdk', images['a.qcow2']!)).toBeNull();
  expect(await waitingFor('x.vmdk', descriptor(['RW 100 FLAT "/etc/passwd" 0']))).toBeNull();
  expect(await waitingFor('x.qcow2', Buffer.from('x'.repeat(5000)))).toBeNull();
});

test('a path to another place is not waited for, but its file belongs to it', async () => {
  const facts = await factsOf(
    'x.vmdk',
    bufferSource(descriptor(['RW 100 FLAT "/vmfs/volumes/a/x-flat.vmdk" 0'])),
  );
  expect(facts).toMatchObject({ needs: [], uses: ['x-flat.vmdk'] });
});

test('the beginning of a descriptor does', async () => {
  expect(await waitingFor('x.vmdk', Buffer.from('# Disk Desc'))).not.toBeNull();
  expect(await waitingFor('x.vmdk', Buffer.alloc(0))).not.toBeNull();
});

test('10,000 drops are grouped in a second or so', async () => {
  const facts = await factsOf('a.qcow2', bufferSource(images['a.qcow2']!));
  const entries = Array.from(
    { length: 10_000 },
    (_, i): IncomingEntry => ({ name: `vm${i}.qcow2`, type: 'file', size: 1 }),
  );
  const started = process.cpuUsage();
  const { drops } = await groupDrops(entries, async () => facts);
  expect(drops).toHaveLength(10_000);
  // Of processor time: other work on the machine does not count.
  const { user, system } = process.cpuUsage(started);
  expect((user + system) / 1000).toBeLessThan(3000);
});
