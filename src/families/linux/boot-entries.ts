import type { Fixer } from '../base/fixer.js';
import { fixCommandLines } from './command-line.js';

const NAME = 'boot-entries';

export const bootEntries: Fixer = {
  name: NAME,
  description:
    'Boot Loader Specification entries (loader/entries/*.conf of GRUB and systemd-boot), their source /etc/kernel/cmdline and the command line inside a unified kernel image (IMAGE.efi:.cmdline) get UUIDs instead of device names. A signature of a changed image is left out, with a warning: Secure Boot needs it signed again.',
  plan(guest) {
    return fixCommandLines(guest, NAME, ['bls', 'kernel-cmdline', 'unified']);
  },
};
