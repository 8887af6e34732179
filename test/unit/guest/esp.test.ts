import { expect, it } from 'vitest';
import { efiDirectories, espMountpoints } from '../../../src/guest/esp.js';
import { treeOf } from '../families/guests.js';

it.each([
  ['/boot/efi/EFI/debian/grubx64.efi', '/boot/efi/EFI'],
  ['/boot/EFI/EFI/GRUB/grubx64.efi', '/boot/EFI/EFI'],
  ['/boot/EFI/systemd/systemd-bootx64.efi', '/boot/EFI'],
  ['/efi/efi/boot/bootx64.efi', '/efi/efi'],
  ['/mnt/EFI/BOOT/BOOTX64.EFI', '/mnt/EFI'],
  ['/a/b/c/EFI/BOOT/BOOTX64.EFI', '/a/b/c/EFI'],
])('%s is on an ESP with %s', (file, directory) => {
  const tree = treeOf({ [file]: null, '/etc/efi/EFI/x': '', '/usr/lib/efi/x': '' });
  expect(efiDirectories(tree)).toEqual([directory]);
  expect(espMountpoints(tree)).toContain(directory.replace(/\/EFI$/i, ''));
});

it('is not kept busy by a hostile number of names', () => {
  const files = Object.fromEntries(
    Array.from({ length: 20_000 }, (_, index) => [`/boot/${index}/EFI/x`, null]),
  );
  expect(efiDirectories(treeOf(files)).length).toBeLessThan(2000);
});
