import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import type { ByteSource } from '../../../src/disk/base/format.js';
import { referencedName } from '../../../src/disk/base/names.js';
import { FORMATS } from '../../../src/disk/formats.js';
import { VMDK_FILES } from '../../../src/disk/vmdk/index.js';
import { Hyper2kvmError } from '../../../src/errors/error.js';
import { factsOf } from '../../../src/spool/header-facts.js';
import { printable } from '../../../src/text/escape-terminal.js';
import { bufferSource } from './buffer-source.js';
import { makeSubjects, type Subject } from './fuzz-subjects.js';

/**
 * Runs of each property in the ordinary test run. `H2K_FUZZ_SECONDS=600 npx vitest run --config
 * test/vitest.config.ts test/unit/disk/fuzz.test.ts -t 'vmdk:'` fuzzes one parser for ten minutes
 * (docs/development.md).
 */
const RUNS = 150;
const SECONDS = Number(process.env.H2K_FUZZ_SECONDS ?? 0);
const PARAMETERS =
  SECONDS > 0
    ? { numRuns: 2 ** 31, interruptAfterTimeLimit: SECONDS * 1000, maxSkipsPerRun: 0 }
    : { numRuns: RUNS };
const TIMEOUT = (SECONDS + 60) * 1000;

const NAMES = [
  'vmdk',
  'cowd',
  'sesparse',
  'descriptor',
  'qcow2',
  'vhd',
  'vhdx',
  'vdi',
  'raw',
  'tar',
  'zip',
  'ovf',
  'manifest',
  'vmx',
  'vagrant',
  'vmsd',
  'vbox',
  'vmcx',
  'vma',
  'xva',
];
let subjects: Record<string, Subject>;
let runs = 0;
beforeAll(async () => {
  subjects = await makeSubjects();
  expect(Object.keys(subjects).sort()).toEqual([...NAMES].sort());
}, TIMEOUT);

test('every disk format has a subject, and every kind of .vmdk file a seed (fuzz-subjects.ts)', () => {
  expect(FORMATS.filter(({ name }) => !(name in subjects)).map(({ name }) => name)).toEqual([]);
  const heads = Object.values(subjects).flatMap(({ seeds }) => seeds.map((seed) => seed.subarray(0, 512)));
  const bare = VMDK_FILES.filter(({ detect }) => !heads.some(detect)).map(({ name }) => name);
  expect(bare).toEqual([]);
});

/** Values at which sizes, offsets and counts break. */
const EDGES = [0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff];
const edge = fc
  .tuple(fc.constantFrom(...EDGES), fc.constantFrom(1, 2, 4, 8), fc.boolean())
  .map(([value, width, little]) => {
    const bytes = Buffer.alloc(width, value > 0x7fff_ffff ? 0xff : 0);
    const used = Math.min(width, 4);
    const masked = value % 2 ** (used * 8);
    if (little) bytes.writeUIntLE(masked, 0, used);
    else bytes.writeUIntBE(masked, width - used, used);
    return bytes;
  });
const anyBytes = fc.uint8Array({ minLength: 1, maxLength: 16 }).map((bytes) => Buffer.from(bytes));
/** `at` is a position in the interesting part of the file (`Subject.hot`), or anywhere. */
const edit = fc.record({
  at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
  anywhere: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
  bytes: fc.oneof(edge, anyBytes),
});
const mutation = fc.record({
  seed: fc.nat(63),
  edits: fc.array(edit, { maxLength: 8 }),
  cut: fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { freq: 4 }),
  repair: fc.boolean(),
});

function mutate(subject: Subject, value: typeof mutation extends fc.Arbitrary<infer T> ? T : never): Buffer {
  const seed = subject.seeds[value.seed % subject.seeds.length]!;
  const cut = value.cut === null ? seed.length : Math.floor(value.cut * seed.length);
  const bytes = Buffer.from(seed.subarray(0, cut));
  const hot = subject.hot(bytes);
  const hotLength = hot.reduce((sum, { length }) => sum + length, 0);
  for (const { at, anywhere, bytes: part } of value.edits) {
    let position = Math.floor(at * (anywhere || hotLength === 0 ? bytes.length : hotLength));
    if (!anywhere) {
      for (const { offset, length } of hot) {
        if (position < length) {
          position += offset;
          break;
        }
        position -= length;
      }
    }
    part.copy(bytes, Math.min(position, Math.max(0, bytes.length - part.length)));
  }
  // Checksums that only say "damaged": with them right, the fields behind them are reached.
  if (value.repair) subject.repair?.(bytes);
  return bytes;
}

/**
 * Counts what a parser asks for: it may neither read much more than the file has, nor ask for a buffer beyond
 * its budget.
 */
function meteredSource(bytes: Buffer): ByteSource & { asked: () => number } {
  const source = bufferSource(bytes);
  let asked = 0;
  return {
    size: source.size,
    asked: () => asked,
    read: (offset, length) => {
      if (!Number.isSafeInteger(offset) || offset < 0 || !Number.isSafeInteger(length) || length < 0)
        throw new Error(`read(${offset}, ${length})`);
      if (length > 64 * 1024 * 1024) throw new Error(`a buffer of ${length} bytes was asked for`);
      asked += length;
      return source.read(offset, length);
    },
  };
}

const CODES = /^fetch\.(corrupt|truncated|unsupported|refused-reference|refused-special|several-vms)$/;

async function survives(subject: Subject, bytes: Buffer): Promise<void> {
  runs += 1;
  const source = meteredSource(bytes);
  const before = process.cpuUsage();
  const memory = process.memoryUsage().rss;
  try {
    await subject.parse(source);
  } catch (error) {
    if (!(error instanceof Hyper2kvmError)) throw error;
    expect(error.code).toMatch(CODES);
    expect(error.message).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
  }
  // Processor time: the machine may be busy. A hang or a quadratic loop takes minutes.
  const { user, system } = process.cpuUsage(before);
  expect((user + system) / 1e6).toBeLessThan(5);
  expect(process.memoryUsage().rss - memory).toBeLessThan(256 * 1024 * 1024);
  expect(source.asked()).toBeLessThan(8 * bytes.length + 4 * 1024 * 1024);
}

describe.each(NAMES)('%s:', (name) => {
  test(
    'changed real files give a result or a refusal: no crash, no hang, no flood of reads',
    async () => {
      const before = runs;
      await fc.assert(
        fc.asyncProperty(mutation, (value) => survives(subjects[name]!, mutate(subjects[name]!, value))),
        PARAMETERS,
      );
      if (SECONDS > 0) console.log(`${name}: ${runs - before} inputs in ${SECONDS} s`);
    },
    TIMEOUT,
  );
});

test('no format’s detection trips over another one’s bytes', async () => {
  const all = Object.values(subjects).flatMap(({ seeds }) => seeds);
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...all), fc.nat(8192), async (seed, cut) => {
      const source = bufferSource(seed.subarray(0, cut));
      const head = await source.read(0, 4096);
      for (const format of FORMATS) await format.detect(head, source);
    }),
    { numRuns: RUNS },
  );
});

test('random bytes behind every magic', async () => {
  const magics = fc.constantFrom(
    'KDMV',
    'COWD',
    'QFI\xfb',
    '# Disk DescriptorFile\n',
    '\xbe\xba\xfe\xca\0\0\0\0',
    'conectix',
    'vhdxfile',
  );
  await fc.assert(
    fc.asyncProperty(magics, fc.uint8Array({ maxLength: 4096 }), async (magic, rest) => {
      const bytes = Buffer.concat([Buffer.from(magic, 'latin1'), rest]);
      for (const format of FORMATS)
        await survives(
          {
            seeds: [],
            hot: () => [],
            parse: async (source) => {
              if (!(await format.detect(await source.read(0, 4096), source))) return;
              await (await format.parse(source)).check(source);
            },
          },
          bytes,
        );
    }),
    { numRuns: RUNS },
  );
});

test('grouping’s facts never reject for what is in a file', async () => {
  const names = [
    'a.vmdk',
    'a.qcow2',
    'a.img',
    'a.vmx',
    'a.vmsd',
    'a-flat.vmdk',
    'a.ova',
    'a.ovf',
    'a.vmdk.xz',
    'a',
  ];
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...names), fc.uint8Array({ maxLength: 2048 }), async (name, bytes) => {
      const facts = await factsOf(name, bufferSource(Buffer.from(bytes)));
      for (const needed of facts.needs) expect(needed).not.toMatch(/[/\\\u0000-\u001f]/);
    }),
    { numRuns: RUNS * 2 },
  );
});

test('the name of a reference never leaves the drop', () => {
  const piece = fc.oneof(
    fc.string(),
    fc.constantFrom('..', '/', '\\', '.', 'json:', 'nbd:', '\0', '\n', '[ds] '),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 6 }), (pieces) => {
      try {
        const name = referencedName(pieces.join(''), 'x');
        expect(name).not.toMatch(/[/\\\u0000-\u001f]/);
        expect(['', '.', '..']).not.toContain(name);
        expect(Buffer.byteLength(name)).toBeLessThanOrEqual(255);
      } catch (error) {
        if (!(error instanceof Hyper2kvmError)) throw error;
        expect(error.code).toBe('fetch.refused-reference');
        expect(error.message).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
      }
    }),
    { numRuns: RUNS * 3 },
  );
});

test('printable leaves no character that a terminal acts on', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 400, unit: 'binary' }), (text) => {
      expect(printable(text)).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e]/);
    }),
    { numRuns: RUNS },
  );
});
