import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { errorRecord } from '../../../src/errors/error.js';
import {
  isSigned,
  parseSectionPath,
  unifiedSections,
  withSection,
} from '../../../src/guest/unified-image.js';
import { kernelOf, makePe } from './pe.js';

const KERNEL_MEMORY = 0x300_000;
const contents = {
  '.text': Buffer.alloc(700, 't'),
  '.cmdline': Buffer.from('root=/dev/sda2 ro'),
  '.initrd': Buffer.alloc(5000, 'i'),
  '.linux': kernelOf(9000, KERNEL_MEMORY),
};
/** As ukify lays it out: each section behind the other, the kernel last. */
const ukify = (options = {}) =>
  makePe(
    [
      { name: '.text', address: 0x1000, content: contents['.text'] },
      { name: '.cmdline', address: 0x2000, content: contents['.cmdline'] },
      { name: '.initrd', address: 0x3000, content: contents['.initrd'] },
      { name: '.linux', address: 0x5000, content: contents['.linux'] },
    ],
    options,
  );

function contentsOf(image: Buffer): Record<string, string> {
  const sections = unifiedSections(image, image.length);
  return Object.fromEntries(
    sections.map(({ name, offset, size }) => [name, image.toString('latin1', offset, offset + size)]),
  );
}

/** Name and address of each header, in their order. */
function addressesOf(image: Buffer): [string, number][] {
  return unifiedSections(image, image.length).map(({ name }, index) => [
    name,
    image.readUInt32LE(0x40 + 4 + 20 + 240 + 40 * index + 12),
  ]);
}
const imageSize = (image: Buffer) => image.readUInt32LE(0x58 + 56);

describe('withSection', () => {
  it('changes a text that fits where it is, and nothing else', () => {
    const text = Buffer.from('root=UUID=0b1c ro console=ttyS0');
    const changed = withSection(ukify(), '.cmdline', text);
    expect(contentsOf(changed)).toEqual({ ...contentsOf(ukify()), '.cmdline': text.toString() });
    expect(addressesOf(changed)).toEqual(addressesOf(ukify()));
    expect(imageSize(changed)).toBe(imageSize(ukify()));
  });

  it('puts an initramfs that has grown behind the memory that the kernel unpacks itself into', () => {
    const grown = Buffer.concat([contents['.initrd'], Buffer.alloc(90_000, 'a')]);
    const changed = withSection(ukify(), '.initrd', grown);
    expect(contentsOf(changed)).toEqual({ ...contentsOf(ukify()), '.initrd': grown.toString('latin1') });
    expect(addressesOf(changed)).toEqual([
      ['.text', 0x1000],
      ['.cmdline', 0x2000],
      ['.linux', 0x5000],
      ['.initrd', 0x5000 + KERNEL_MEMORY],
    ]);
    expect(imageSize(changed)).toBe(0x5000 + KERNEL_MEMORY + Math.ceil(grown.length / 4096) * 4096);
    // The old one's bytes are not kept.
    expect(changed.length).toBeLessThan(ukify().length + 91_000);
  });

  it('lets an initramfs that is last grow in its place', () => {
    const last = makePe([
      { name: '.linux', address: 0x2000, content: contents['.linux'] },
      { name: '.initrd', address: 0x300_0000, content: contents['.initrd'] },
    ]);
    const changed = withSection(last, '.initrd', Buffer.alloc(50_000, 'n'));
    expect(addressesOf(changed)).toEqual(addressesOf(last));
    expect(contentsOf(changed)['.initrd']).toHaveLength(50_000);
  });

  it('leaves a signature out, which would not hold', () => {
    const signed = ukify({ certificate: Buffer.alloc(1200, 's') });
    expect(isSigned(signed)).toBe(true);
    const changed = withSection(signed, '.cmdline', Buffer.from('ro'));
    expect(isSigned(changed)).toBe(false);
    expect(changed.includes('sss')).toBe(false);
  });

  it('refuses what it cannot change', () => {
    const two = makePe(
      [0x1000, 0x2000].map((address) => ({ name: '.cmdline', address, content: Buffer.from('a') })),
    );
    for (const image of [two, makePe([]), Buffer.from('MZ'), Buffer.alloc(0)])
      expect(() => withSection(image, '.cmdline', Buffer.alloc(1))).toThrowError(
        expect.objectContaining({ code: 'guest.unified-image' }),
      );
  });
});

describe('a damaged image', () => {
  const image = ukify({ certificate: Buffer.alloc(100) });
  const HEADERS = 0x58 + 240 + 160;
  /** Fields, with the values where arithmetic breaks. */
  const damage = fc.array(
    fc.tuple(
      fc.nat(HEADERS / 4),
      fc.oneof(fc.constantFrom(0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 4096, 0x200), fc.nat(0xffff)),
    ),
    { minLength: 1, maxLength: 4 },
  );
  function survives(bad: Buffer): void {
    for (const name of ['.initrd', '.cmdline'] as const) {
      try {
        isSigned(bad);
        const changed = withSection(bad, name, Buffer.alloc(100));
        expect(changed.length).toBeLessThan(2 ** 26);
        const section = unifiedSections(changed, changed.length).find((each) => each.name === name);
        expect(section?.size).toBe(100);
      } catch (error) {
        expect(errorRecord(error).code).toBe('guest.unified-image');
      }
    }
  }

  it('is refused by name, or changed and readable again', () => {
    fc.assert(
      fc.property(damage, (fields) => {
        const bad = Buffer.from(image);
        for (const [index, value] of fields) bad.writeUInt32LE(value, index * 4);
        survives(bad);
      }),
      { numRuns: 5000 },
    );
  });

  it('is refused wherever it is cut', () => {
    fc.assert(
      fc.property(fc.nat(image.length - 1), (length) => survives(image.subarray(0, length))),
      { numRuns: 500 },
    );
  });
});

it('names a section as a file that FAT cannot have', () => {
  expect(parseSectionPath('/efi/EFI/Linux/arch.efi:.initrd')).toEqual({
    image: '/efi/EFI/Linux/arch.efi',
    section: '.initrd',
  });
  expect(parseSectionPath('/efi/EFI/Linux/arch.efi')).toBeNull();
  expect(parseSectionPath('/efi/EFI/Linux/arch.efi:.text')).toBeNull();
});
