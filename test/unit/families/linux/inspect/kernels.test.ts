import { describe, expect, it } from 'vitest';
import { kernelFiles, readKernels } from '../../../../../src/families/linux/inspect/kernels.js';
import { memoryGuest } from '../../../access/memory-guest.js';
import { type Files, treeOf } from '../../guests.js';

const VERSION = '6.1.0-18-amd64';
const MODULES = `/usr/lib/modules/${VERSION}`;
const { signal } = new AbortController();
const of = (files: Files) =>
  kernelFiles(treeOf({ [`${MODULES}/modules.dep`]: '', ...files }), VERSION, MODULES);
const boot = { [`/boot/vmlinuz-${VERSION}`]: null, [`/boot/initrd.img-${VERSION}`]: null };
const own = { image: `/boot/vmlinuz-${VERSION}`, initramfs: `/boot/initrd.img-${VERSION}` };

describe('kernelFiles', () => {
  it('finds the copy that systemd-boot starts beside the kernel in /boot', () => {
    const entry = `/boot/efi/0123abcd/${VERSION}`;
    expect(of({ ...boot, [`${entry}/linux`]: null, [`${entry}/initrd.img-${VERSION}`]: null })).toEqual([
      own,
      { image: `${entry}/linux`, initramfs: `${entry}/initrd.img-${VERSION}` },
    ]);
  });

  it('names a kernel that is only in its entry’s directory once', () => {
    const entry = `/efi/fedora/${VERSION}`;
    expect(of({ [`${entry}/linux`]: null, [`${entry}/initrd`]: null })).toEqual([
      { image: `${entry}/linux`, initramfs: `${entry}/initrd` },
    ]);
  });

  it('is empty where only modules were left behind', () => {
    expect(of({})).toEqual([]);
    expect(of(boot)).toEqual([own]);
  });
});

it('an impossible number of kernels is refused before any initramfs is read', async () => {
  const files = Object.fromEntries(
    Array.from({ length: 101 }, (_, number) => [`/lib/modules/6.1.${number}/modules.dep`, '']),
  );
  const { reader } = memoryGuest({});
  const reading = readKernels(reader, treeOf(files), [], { workDirectory: '/nonexistent', signal });
  await expect(reading).rejects.toMatchObject({ code: 'inspect.too-many-kernels' });
});
