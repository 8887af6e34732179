import { removeFile } from '../edit.js';
import type { Fixer } from '../fixer.js';

const NAME = 'device-map';

export const deviceMap: Fixer = {
  name: NAME,
  description:
    'GRUB’s device.map, which ties GRUB’s disk numbers to names of the old hypervisor’s disks, is removed: GRUB’s tools find the disks without it.',
  plan({ tree }) {
    const reason = 'it names disks of the old hypervisor; grub-install would write to the wrong one or fail';
    const paths = ['/boot/grub/device.map', '/boot/grub2/device.map'];
    const stale = paths.filter((path) => /\/dev\//.test(tree.text(path)?.text ?? ''));
    return {
      operations: stale.flatMap((path) => removeFile(tree, path, { fixer: NAME, reason })),
      warnings: [],
    };
  },
};
