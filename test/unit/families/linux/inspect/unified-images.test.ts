import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Warnings } from '../../../../../src/access/tolerate.js';
import { readKernels } from '../../../../../src/families/linux/inspect/kernels.js';
import {
  readUnifiedImages,
  withCommandLines,
  withoutKernel,
} from '../../../../../src/families/linux/inspect/unified-images.js';
import { S_IFREG, writeNewc } from '../../../../../src/guest/cpio.js';
import { guestOfFiles, refused } from '../../../access/memory-guest.js';
import { kernelOf, makePe } from '../../../guest/pe.js';
import { treeOf } from '../../guests.js';

const VERSION = '6.12.1-amd64';
const PATH = `/boot/efi/EFI/Linux/debian-${VERSION}.efi`;
const initramfs = writeNewc([
  { path: `usr/lib/modules/${VERSION}/kernel/vmw_pvscsi.ko`, mode: S_IFREG | 0o644, data: Buffer.from('x') },
]);
const sectionsOf = (uname: string) => [
  { name: '.cmdline', address: 0x1000, content: Buffer.from('root=/dev/sda2 ro\0') },
  { name: '.uname', address: 0x2000, content: Buffer.from(uname) },
  { name: '.initrd', address: 0x3000, content: initramfs },
  { name: '.linux', address: 0x9000, content: kernelOf(5000, 0) },
];

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'h2k-unified-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

/** What INSPECT makes of a guest that has these images. */
async function inspect(images: Record<string, Buffer | 'directory' | 'broken'>) {
  const warnings: Warnings = [];
  const { signal } = new AbortController();
  const { reader } = await guestOfFiles(
    Object.fromEntries(
      Object.entries(images).map(([path, image]) =>
        image === 'directory' ? [`${path}/`, null] : [path, image],
      ),
    ),
    (call, path) => {
      if (call === 'download' && images[path] === 'broken') throw refused(call, 'EIO');
    },
  );
  const files = Object.fromEntries(Object.keys(images).map((path) => [path, null]));
  const tree = treeOf({ [`/usr/lib/modules/${VERSION}/modules.dep`]: '', '/lib': '-> usr/lib', ...files });
  const place = { workDirectory: directory, signal };
  const unified = await readUnifiedImages(reader, tree, { ...place, warnings });
  const read = await readKernels(reader, tree, unified, place);
  warnings.push(...withoutKernel(unified, read.kernels));
  return { tree: withCommandLines(tree, unified), unified, warnings, ...read };
}

it('a kernel in a unified image has its initramfs and its command line there', async () => {
  const { kernels, listings, tree, warnings } = await inspect({ [PATH]: makePe(sectionsOf(VERSION)) });
  expect(kernels).toMatchObject([
    {
      version: VERSION,
      image: PATH,
      initramfs: { path: `${PATH}:.initrd`, modules: ['vmw_pvscsi'], lib: 'usr/lib', unreadable: null },
    },
  ]);
  expect(listings[`${PATH}:.initrd`]?.size).toBe(initramfs.length);
  expect(tree.text(`${PATH}:.cmdline`)?.text).toBe('root=/dev/sda2 ro');
  expect(warnings).toEqual([]);
});

it('an image that does not name its kernel is of the version that the kernel itself tells', async () => {
  const sections = sectionsOf(VERSION).filter(({ name }) => name === '.initrd');
  const linux = { name: '.linux', address: 0x9000, content: kernelOf(5000, 0, VERSION) };
  const { kernels } = await inspect({ [PATH]: makePe([...sections, linux]) });
  expect(kernels).toMatchObject([{ version: VERSION, image: PATH }]);
});

it('one image with two names is one', async () => {
  const image = makePe(sectionsOf(VERSION));
  const { kernels } = await inspect({ [PATH]: image, [PATH.replace('/boot/efi', '/efi')]: image });
  expect(kernels.map((kernel) => kernel.image)).toEqual([PATH]);
});

it('a boot loader under the default name is no image, a signed image says that it is', async () => {
  const loader = makePe([{ name: '.text', address: 0x1000, content: Buffer.from('code') }]);
  const signed = makePe(sectionsOf(VERSION), { certificate: Buffer.alloc(64) });
  const broken = makePe([]).subarray(0, 100);
  const { unified, warnings } = await inspect({
    [PATH]: signed,
    '/boot/efi/EFI/BOOT/BOOTX64.EFI': loader,
    '/boot/efi/EFI/BOOT/BOOTIA32.EFI': broken,
  });
  expect(unified).toMatchObject([{ path: PATH, version: VERSION, signed: true }]);
  expect(warnings).toEqual([]);
});

it('what cannot be read, has several profiles or is of no installed kernel is warned of', async () => {
  const images = {
    '/efi/EFI/Linux/a.efi': Buffer.from('text'),
    '/efi/EFI/Linux/b.efi': 'directory' as const,
    '/efi/EFI/Linux/c.efi': 'broken' as const,
    '/efi/EFI/Linux/d.efi': makePe(sectionsOf('5.0-removed')),
    '/efi/EFI/Linux/e.efi': makePe([...sectionsOf(VERSION), { ...sectionsOf('')[0]!, address: 0xa000 }]),
    '/efi/EFI/Linux/f.efi': makePe(sectionsOf(VERSION)).subarray(0, -1000),
    '/efi/EFI/Linux/g.efi': makePe(sectionsOf(`5.0\n${'x'.repeat(9000)}`)),
  };
  const { kernels, tree, warnings } = await inspect(images);
  // Those that were read are kernels all the same, of which nothing else is known.
  expect(kernels.map(({ image, version, modules }) => [image, version, modules])).toEqual([
    ['/efi/EFI/Linux/d.efi', '5.0-removed', null],
    ['/efi/EFI/Linux/g.efi', 'unknown', null],
  ]);
  expect(warnings.map(({ code, message }) => `${code} ${message.split(' ')[3]}`).sort()).toEqual(
    Object.keys(images).map((path) => `boot.unified-image ${path}`),
  );
  expect(Math.max(...warnings.map(({ message }) => message.length))).toBeLessThan(400);
  expect(tree.text('/efi/EFI/Linux/d.efi:.cmdline')?.text).toBe('root=/dev/sda2 ro');
  expect(tree.text('/efi/EFI/Linux/f.efi:.cmdline')).toBeNull();
});
