import type { BootFileKind } from '../../guest/command-line-files.js';
import type { Fixer } from '../base/fixer.js';
import { fixCommandLines } from './command-line.js';
import { commandLineProof } from './command-line-proof.js';

const NAME = 'boot-entries';
const KINDS: readonly BootFileKind[] = ['bls', 'kernel-cmdline', 'unified'];

export const bootEntries: Fixer = {
  name: NAME,
  whileRunning: true,
  description:
    'Boot Loader Specification entries (loader/entries/*.conf of GRUB and systemd-boot), their source /etc/kernel/cmdline and the command line inside a unified kernel image (IMAGE.efi:.cmdline) get UUIDs instead of device names. A changed image loses its signature, with a warning: it must be signed again for Secure Boot.',
  plan: (guest) => fixCommandLines(guest, NAME, KINDS),
  proof: commandLineProof(KINDS),
};
