import { expect, it } from 'vitest';
import { sizeOf } from '../../../src/access/guest-reader.js';
import { withUnifiedImages } from '../../../src/access/unified-images.js';
import { kernelOf, makePe } from '../guest/pe.js';
import { memoryWriter } from './memory-writer.js';

const IMAGE = '/boot/efi/EFI/Linux/a.efi';
const make = () =>
  memoryWriter({
    [IMAGE]: makePe([
      { name: '.cmdline', address: 0x1000, content: Buffer.from('root=/dev/sda2\0') },
      { name: '.initrd', address: 0x2000, content: Buffer.alloc(3001, 'i') },
      { name: '.linux', address: 0x3000, content: kernelOf(5000, 0x10_000) },
    ]),
    '/etc/fstab': 'text\n',
  });

it('reads and rewrites the command line as a file without the NUL that ends it', async () => {
  const inner = make();
  const target = withUnifiedImages(inner);
  expect((await target.read(`${IMAGE}:.cmdline`)).toString()).toBe('root=/dev/sda2');
  await target.rewrite(`${IMAGE}:.cmdline`, Buffer.from('root=UUID=1'));
  expect((await target.read(`${IMAGE}:.cmdline`)).toString()).toBe('root=UUID=1');
  expect([...inner.files.keys()]).toEqual([IMAGE, '/etc/fstab']);
  expect((await target.read('/etc/fstab')).toString()).toBe('text\n');
});

it('appends to the initramfs, again and again, and reads back what was appended', async () => {
  const target = withUnifiedImages(make());
  for (const [text, at] of [
    ['first', 3001],
    ['second', 3006],
  ] as const) {
    expect(await sizeOf(target, `${IMAGE}:.initrd`)).toBe(at);
    await target.append(`${IMAGE}:.initrd`, Buffer.from(text), at);
    expect((await target.readAt(`${IMAGE}:.initrd`, at, 100)).toString()).toBe(text);
  }
  expect((await target.read(`${IMAGE}:.cmdline`)).toString()).toBe('root=/dev/sda2');
});

it('fails by name on what is no image', async () => {
  const target = withUnifiedImages(memoryWriter({ [IMAGE]: 'text' }));
  await expect(target.read(`${IMAGE}:.initrd`)).rejects.toMatchObject({ code: 'guest.unified-image' });
});
