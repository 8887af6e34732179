import { isUnstableName } from '../../guest/device-names.js';
import { shortLines } from '../../text/lines.js';
import { removeFile } from '../base/edit.js';
import type { Fixer } from '../base/fixer.js';

const NAME = 'device-map';

/** SUSE's record of the disk that GRUB is installed on. No name of a whole disk is the same everywhere. */
const INSTALL_DEVICES = '/etc/default/grub_installdevice';

/** Debian's record: debconf's answers, stanzas with empty lines between them (debconf-devel(7)). */
const ANSWERS = '/var/cache/debconf/config.dat';
const QUESTION = /^Name: (grub-(?:pc|efi\S*)\/install_devices)$/;

/** The first of the disks that the next update of GRUB's package would be installed on, by a name of the old ones. */
function answeredDevice(text: string): { question: string; device: string } | null {
  let question: string | undefined;
  for (const line of shortLines(text)) {
    if (line === '') question = undefined;
    question = QUESTION.exec(line)?.[1] ?? question;
    const value = question === undefined ? undefined : /^Value: (.*)$/.exec(line)?.[1];
    const device = value?.split(/,\s*/).find((name) => isUnstableName(name.trim()));
    if (question !== undefined && device !== undefined) return { question, device };
  }
  return null;
}

export const deviceMap: Fixer = {
  name: NAME,
  whileRunning: false,
  description:
    'GRUB’s device.map, which ties GRUB’s disk numbers to names of the old hypervisor’s disks, is removed: GRUB’s tools find the disks without it. SUSE’s /etc/default/grub_installdevice and Debian’s answers to debconf (grub-pc/install_devices) are reported where they name such a disk.',
  plan({ tree }) {
    const reason = 'it names disks of the old hypervisor; grub-install would write to the wrong one or fail';
    const paths = ['/boot/grub/device.map', '/boot/grub2/device.map'];
    const device = shortLines(tree.text(INSTALL_DEVICES)?.text ?? '').find((line) =>
      isUnstableName(line.trim()),
    );
    const message = `${INSTALL_DEVICES} names ${device?.trim()}, a disk of the old hypervisor: the next update of GRUB would not install it. Set it in the guest (yast2 bootloader)`;
    const answer = answeredDevice(tree.text(ANSWERS)?.text ?? '');
    const messages = [
      ...(device === undefined ? [] : [message]),
      ...(answer === null
        ? []
        : [
            `debconf's ${answer.question} names ${answer.device}, a disk of the old hypervisor: the next update of GRUB would stop and ask, or not install it. Set it in the guest (dpkg-reconfigure ${answer.question.replace(/\/.*/, '')})`,
          ]),
    ];
    const stale = paths.filter((path) => /\/dev\//.test(tree.text(path)?.text ?? ''));
    return {
      operations: stale.flatMap((path) => removeFile(tree, path, { fixer: NAME, reason })),
      warnings: messages.map((text) => ({ fixer: NAME, code: 'boot.install-device', message: text })),
    };
  },
};
