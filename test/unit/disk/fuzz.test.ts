import fc from 'fast-check';
import { beforeAll, expect, test } from 'vitest';
import { bufferSource } from '../../../src/disk/bytes.js';
import type { ByteSource } from '../../../src/disk/format.js';
import { FORMATS } from '../../../src/disk/formats.js';
import { printable, siblingName } from '../../../src/disk/names.js';
import { parseVmx } from '../../../src/disk/vmx.js';
import { Hyper2kvmError } from '../../../src/errors.js';
import { factsOf } from '../../../src/spool/probe.js';
import { descriptor, realImages, withFooter } from './images.js';

/** `H2K_FUZZ_RUNS=200000 npx vitest run test/unit/disk/fuzz.test.ts` runs longer. */
const RUNS = Number(process.env.H2K_FUZZ_RUNS ?? 300);

let images: Record<string, Buffer>;
beforeAll(async () => {
  images = await realImages({
    'a.vmdk': ['-O', 'vmdk'],
    'b.vmdk': ['-O', 'vmdk', '-o', 'subformat=streamOptimized'],
    'c.qcow2': ['-O', 'qcow2'],
    'd.qcow2': ['-O', 'qcow2', '-c'],
    'h.vhd': ['-O', 'vpc'],
    'i.vhdx': ['-O', 'vhdx'],
    'j.vdi': ['-O', 'vdi'],
  });
  images['e.vmdk'] = withFooter(images['b.vmdk']!);
  images['f.vmdk'] = descriptor(['RW 100 SPARSE "f-s001.vmdk"', 'RW 100 FLAT "f-f002.vmdk" 0'], {
    parentCID: '1',
    parentFileNameHint: '"p.vmdk"',
  });
  images['g.raw'] = images.raw!;
});

/** Counts what a parser asks for: it may not read much more than the file has. */
function meteredSource(bytes: Buffer): ByteSource & { asked: () => number } {
  const source = bufferSource(bytes);
  let asked = 0;
  return {
    size: source.size,
    asked: () => asked,
    read: (offset, length) => {
      expect(Number.isSafeInteger(offset) && offset >= 0 && Number.isSafeInteger(length) && length >= 0).toBe(
        true,
      );
      asked += Math.min(length, 64 * 1024 * 1024);
      return source.read(offset, length);
    },
  };
}

async function survives(bytes: Buffer): Promise<void> {
  for (const format of FORMATS) {
    const source = meteredSource(bytes);
    try {
      if (!(await format.detect(await source.read(0, 4096), source))) continue;
      const image = await format.parse(source);
      expect(image.virtualSize).toBeGreaterThan(0);
      await format.completeness(source, image);
    } catch (error) {
      if (!(error instanceof Hyper2kvmError)) throw error;
      expect(error.code).toMatch(/^fetch\.(corrupt|truncated|unsupported|refused-reference)$/);
    }
    expect(source.asked()).toBeLessThan(8 * bytes.length + 4 * 1024 * 1024);
  }
}

test('real images with changed bytes: a result or a refusal, never a crash or a flood of reads', async () => {
  const names = Object.keys(images);
  const edit = fc.record({ at: fc.nat(2200), bytes: fc.uint8Array({ minLength: 1, maxLength: 8 }) });
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...names),
      fc.array(edit, { minLength: 1, maxLength: 6 }),
      fc.nat(),
      async (name, edits, cut) => {
        const original = images[name]!;
        const bytes = Buffer.from(cut % 3 === 0 ? original.subarray(0, cut % original.length) : original);
        for (const { at, bytes: value } of edits)
          Buffer.from(value).copy(bytes, Math.min(at, Math.max(0, bytes.length - value.length)));
        await survives(bytes);
      },
    ),
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
    fc.asyncProperty(magics, fc.uint8Array({ maxLength: 4096 }), (magic, rest) =>
      survives(Buffer.concat([Buffer.from(magic, 'latin1'), rest])),
    ),
    { numRuns: RUNS },
  );
});

test('grouping’s facts never reject for what is in a file', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom('a.vmdk', 'a.qcow2', 'a.img', 'a.vmx', 'a-flat.vmdk', 'a'),
      fc.uint8Array({ maxLength: 2048 }),
      async (name, bytes) => {
        const facts = await factsOf(name, bufferSource(Buffer.from(bytes))).catch((error: unknown) => {
          if (error instanceof Hyper2kvmError) return null;
          throw error;
        });
        if (facts !== null)
          for (const needed of facts.needs) expect(needed).not.toMatch(/[/\\\u0000-\u001f]/);
      },
    ),
    { numRuns: RUNS },
  );
});

test('a sibling’s name never leaves the directory', () => {
  const piece = fc.oneof(
    fc.string(),
    fc.constantFrom('..', '/', '\\', '.', 'json:', 'nbd:', '\0', '\n', '[ds] '),
  );
  fc.assert(
    fc.property(
      fc.array(piece, { maxLength: 6 }),
      fc.constantFrom('exact' as const, 'hint' as const),
      (pieces, mode) => {
        try {
          const name = siblingName(pieces.join(''), mode, 'x');
          expect(name).not.toMatch(/[/\\\u0000-\u001f]/);
          expect(['', '.', '..']).not.toContain(name);
          expect(Buffer.byteLength(name)).toBeLessThanOrEqual(255);
        } catch (error) {
          if (!(error instanceof Hyper2kvmError)) throw error;
          expect(error.code).toBe('fetch.refused-reference');
          expect(error.message).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
        }
      },
    ),
    { numRuns: RUNS * 3 },
  );
});

test('any text: a VMX or a refusal', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 400 }), (text) => {
      try {
        parseVmx(`memsize = "1024"\n${text}\nscsi0:0.filename = "a.vmdk"\n`);
      } catch (error) {
        expect(error).toBeInstanceOf(Hyper2kvmError);
      }
      expect(printable(text)).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
    }),
    { numRuns: RUNS },
  );
});
