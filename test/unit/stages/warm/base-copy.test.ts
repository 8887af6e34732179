import { mkdirSync, renameSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { jobOptions } from '../../../../src/config/load.js';
import { configSchema, type JobOptions } from '../../../../src/config/schema.js';
import type { Chain } from '../../../../src/model/storage.js';
import {
  copyOf,
  copyOptions,
  listed,
  preparedBytes,
  unchangedBase,
} from '../../../../src/stages/warm/base-copy.js';
import { scratchDirectory } from '../../queue/scratch.js';

const options = (overrides: Record<string, string> = {}): JobOptions =>
  jobOptions(configSchema.parse({}), null, { overrides });

function layer(name: string, virtual_size = 4096): Chain['layers'][number] {
  return {
    ...{ name, format: 'qcow2', virtual_size, content_id: null, footer: false, extents: [] },
    ...{ bytes: { type: 'file', place: 'drop', path: name }, allocated: 512, used_bytes: 512 },
  };
}

/** A job's directory with a base of two disks that was converted ahead, and with a log beside them. */
async function prepared() {
  const work = scratchDirectory();
  const source = { directory: join(work, 'source'), entries: ['a.qcow2', 'b.qcow2', 'web01.log'] };
  mkdirSync(source.directory);
  for (const name of source.entries) writeFileSync(join(source.directory, name), name);
  mkdirSync(join(work, 'warm'));
  for (const name of ['disk0.qcow2', 'disk1.qcow2'])
    writeFileSync(join(work, 'warm', name), Buffer.alloc(8192, 1));
  const record = {
    options: copyOptions(options()),
    files: await listed(source),
    digests: source.entries.map((path) => ({ path, size: path.length, sha256: path })),
    disks: ['a.qcow2', 'b.qcow2'].map((name, index) => ({
      file: `warm/disk${index}.qcow2`,
      chain: { layers: [layer(name)] },
    })),
  };
  const write = () => writeFileSync(join(work, 'warm', 'base.json'), JSON.stringify(record));
  write();
  return { work, source, record, write };
}

describe('the copy of a base', () => {
  it('counts while its files are those that were read', async () => {
    const { work, source, record } = await prepared();
    expect(await unchangedBase(work, source, options())).toEqual(record);
    expect(await preparedBytes(work)).toBeGreaterThanOrEqual(16_384);
    // The drop as it is held may be a private copy; what counts is the drop itself.
    const held = { ...source, directory: '/nowhere', original: source.directory };
    expect(await unchangedBase(work, held, options())).toEqual(record);
  });

  it('does not count for a disk that was written to, even where size and time of modification are as before', async () => {
    const { work, source } = await prepared();
    const file = join(source.directory, 'a.qcow2');
    const [before] = await listed({ ...source, entries: ['a.qcow2'] });
    writeFileSync(file, 'b.qcow2');
    utimesSync(file, before!.modified / 1000, before!.modified / 1000);
    const left = await unchangedBase(work, source, options());
    expect(left?.disks.map(({ file: copy }) => copy)).toEqual(['warm/disk1.qcow2']);
    expect(left?.digests.map(({ path }) => path)).toEqual(['b.qcow2', 'web01.log']);
  });

  it('counts although a file that is no disk was replaced, whose digest is taken again', async () => {
    const { work, source } = await prepared();
    renameSync(join(source.directory, 'web01.log'), join(source.directory, '.web01.log.base'));
    writeFileSync(join(source.directory, 'web01.log'), 'newer');
    const left = await unchangedBase(work, source, options());
    expect(left?.disks).toHaveLength(2);
    expect(left?.digests.map(({ path }) => path)).toEqual(['a.qcow2', 'b.qcow2']);
  });

  it.each([
    ['another form', { 'convert.cluster_size_kib': '128' }],
    ['a form that is not written in place', { 'convert.compression': 'zstd' }],
    ['another format', { 'convert.format': 'raw' }],
    ['a physical copy of the source', { 'flatten.mode': 'copy' }],
  ])('does not count for %s', async (_name, overrides) => {
    const { work, source } = await prepared();
    expect(await unchangedBase(work, source, options(overrides))).toBeNull();
  });

  it('does not count without its record, with half of one, or without a file that it names', async () => {
    const { work, source, record, write } = await prepared();
    record.disks.push({ file: 'warm/disk2.qcow2', chain: { layers: [layer('c')] } });
    write();
    expect(await unchangedBase(work, source, options())).toBeNull();
    writeFileSync(join(work, 'warm', 'base.json'), '{}');
    expect(await unchangedBase(work, source, options())).toBeNull();
    expect(await preparedBytes(work)).toBe(0);
    expect(await unchangedBase(scratchDirectory(), source, options())).toBeNull();
  });

  it('is of the disk whose lowest layers are in it, wherever that is among the VM’s now', async () => {
    const { record } = await prepared();
    const grown = layer('a-000001', 8192);
    expect(copyOf(record as never, { layers: [layer('b-000001'), layer('b.qcow2')] }, 'qcow2')).toEqual({
      ...{ file: 'warm/disk1.qcow2', format: 'qcow2', layers: 1 },
    });
    const settled = { ...layer('b.qcow2'), allocated: null, used_bytes: 1024 };
    expect(copyOf(record as never, { layers: [settled] }, 'qcow2')).toMatchObject({ layers: 1 });
    expect(copyOf(record as never, { layers: [grown, layer('a.qcow2')] }, 'qcow2')).toBeNull();
    expect(copyOf(record as never, { layers: [layer('c.qcow2')] }, 'qcow2')).toBeNull();
    expect(copyOf(null, { layers: [layer('a.qcow2')] }, 'qcow2')).toBeNull();
  });
});
