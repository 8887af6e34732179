import { isUnstableName } from '../../guest/device-names.js';
import { shortLines } from '../../text/lines.js';
import { removeFile } from '../base/edit.js';
import type { Fixer } from '../base/fixer.js';

const NAME = 'device-map';

/** SUSE's record of the disk that GRUB is installed on. No name of a whole disk is the same everywhere. */
const INSTALL_DEVICES = '/etc/default/grub_installdevice';

export const deviceMap: Fixer = {
  name: NAME,
  description:
    'GRUB’s device.map, which ties GRUB’s disk numbers to names of the old hypervisor’s disks, is removed: GRUB’s tools find the disks without it. SUSE’s /etc/default/grub_installdevice is reported where it names such a disk.',
  plan({ tree }) {
    const reason = 'it names disks of the old hypervisor; grub-install would write to the wrong one or fail';
    const paths = ['/boot/grub/device.map', '/boot/grub2/device.map'];
    const device = shortLines(tree.text(INSTALL_DEVICES)?.text ?? '').find((line) =>
      isUnstableName(line.trim()),
    );
    const message = `${INSTALL_DEVICES} names ${device?.trim()}, a disk of the old hypervisor: the next update of GRUB would not install it. Set it in the guest (yast2 bootloader)`;
    const stale = paths.filter((path) => /\/dev\//.test(tree.text(path)?.text ?? ''));
    return {
      operations: stale.flatMap((path) => removeFile(tree, path, { fixer: NAME, reason })),
      warnings: device === undefined ? [] : [{ fixer: NAME, code: 'boot.install-device', message }],
    };
  },
};
