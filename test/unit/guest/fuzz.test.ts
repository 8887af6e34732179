import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { Hyper2kvmError } from '../../../src/errors/error.js';
import { type FuzzSubject, makeFuzzSubjects } from './fuzz-subjects.js';

/** As test/unit/disk/fuzz.test.ts: `H2K_FUZZ_SECONDS=600 … -t '^hive: '` fuzzes one parser for ten minutes. */
const RUNS = 150;
const SECONDS = Number(process.env.H2K_FUZZ_SECONDS ?? 0);
const PARAMETERS =
  SECONDS > 0
    ? { numRuns: 2 ** 31, interruptAfterTimeLimit: SECONDS * 1000, maxSkipsPerRun: 0 }
    : { numRuns: RUNS };
const TIMEOUT = (SECONDS + 120) * 1000;

const NAMES = [
  'hive',
  'log entries',
  'dirty pages',
  'boot store',
  'master file table',
  'ntfs journal',
  'inf',
  'program',
  'catalogue',
];
let subjects: Record<string, FuzzSubject>;
beforeAll(() => {
  subjects = makeFuzzSubjects();
  expect(Object.keys(subjects).sort()).toEqual([...NAMES].sort());
}, 60_000);

const CODES =
  /^guest\.(hive-corrupt|hive-dirty|hive-unsupported|bcd-incomplete|inf-invalid|pe-invalid|signature-invalid)$/;

/** Values at which sizes, offsets and counts break. */
const EDGES = [
  0, 1, 2, 7, 8, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_fff8, 0xffff_ffff,
];
const edge = fc.constantFrom(...EDGES).map((value) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes.subarray(0, value < 0x1_0000 ? 2 : 4);
});
const anyBytes = fc.uint8Array({ minLength: 1, maxLength: 16 }).map((bytes) => Buffer.from(bytes));
const position = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true });
const edit = fc.record({
  at: position,
  bytes: fc.oneof(
    edge,
    anyBytes,
    // Bytes from elsewhere in the file: offsets and lists that are valid, but not there.
    fc.record({ from: position, length: fc.integer({ min: 1, max: 64 }) }),
  ),
});
const mutation = fc.record({
  edits: fc.array(edit, { maxLength: 8 }),
  cut: fc.option(position, { freq: 6 }),
  repair: fc.boolean(),
});
type Mutation = typeof mutation extends fc.Arbitrary<infer T> ? T : never;

function mutate({ seed, repair, hot }: FuzzSubject, value: Mutation): Buffer {
  const bytes = Buffer.from(seed.subarray(0, value.cut === null ? seed.length : value.cut * seed.length));
  const places = hot(bytes);
  const place = (at: number) => places[Math.floor(at * places.length)] ?? 0;
  for (const { at, bytes: part } of value.edits) {
    const start = place(at);
    if (Buffer.isBuffer(part)) part.copy(bytes, start);
    else bytes.copy(bytes, start, place(part.from), Math.min(place(part.from) + part.length, bytes.length));
  }
  if (value.repair) repair?.(bytes);
  return bytes;
}

describe.each(NAMES)('%s:', (name) => {
  test('the file as it is gives a result', () => {
    expect(() => subjects[name]!.parse(subjects[name]!.seed)).not.toThrow();
  });

  test(
    'a changed file gives a result or a refusal: no crash, no hang, no flood of memory',
    () => {
      const subject = subjects[name]!;
      fc.assert(
        fc.property(mutation, (value) => {
          const bytes = mutate(subject, value);
          const before = process.cpuUsage();
          const memory = process.memoryUsage().rss;
          try {
            subject.parse(bytes);
          } catch (error) {
            if (!(error instanceof Hyper2kvmError)) throw error;
            expect(error.code).toMatch(CODES);
            expect(error.message).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
          }
          const { user, system } = process.cpuUsage(before);
          expect((user + system) / 1e6).toBeLessThan(5);
          expect(process.memoryUsage().rss - memory).toBeLessThan(256 * 1024 * 1024);
        }),
        PARAMETERS,
      );
    },
    TIMEOUT,
  );
});
