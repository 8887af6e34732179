import { isUnstableName } from '../../guest/device-names.js';
import { rewriteFile } from '../base/edit.js';
import type { Fixer, Guest } from '../base/fixer.js';
import { stabilise } from './stable-names.js';

const NAME = 'resume';
const PATH = '/etc/initramfs-tools/conf.d/resume';

export const resume: Fixer = {
  name: NAME,
  whileRunning: true,
  description:
    'The swap area that initramfs-tools resumes from (/etc/initramfs-tools/conf.d/resume) gets its UUID instead of a device name, for which the boot would wait.',
  plan(guest) {
    const reason = 'an initramfs made on KVM would wait for a disk of the old hypervisor';
    const operations = rewriteFile(guest.tree, PATH, { fixer: NAME, reason }, (text) =>
      stableResume(text, guest),
    );
    return { operations, warnings: [] };
  },
};

export function stableResume(text: string, guest: Guest): string {
  return text.replace(/^(RESUME=)(\/dev\/\S+)/gm, (whole, key: string, device: string) => {
    const stable = isUnstableName(device) ? stabilise(device, guest, { type: 'swap' }) : null;
    return stable === null ? whole : `${key}${stable}`;
  });
}
