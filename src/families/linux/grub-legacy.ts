import type { BootFileKind } from '../../guest/command-line-files.js';
import type { Fixer } from '../base/fixer.js';
import { fixCommandLines } from './command-line.js';
import { commandLineProof } from './command-line-proof.js';

const NAME = 'grub-legacy';
const KINDS: readonly BootFileKind[] = ['grub-legacy'];

export const grubLegacy: Fixer = {
  name: NAME,
  whileRunning: true,
  description:
    'GRUB legacy (menu.lst, grub.conf): root= and the like on the kernel lines, and in the kopt comment that update-grub reads, get UUIDs. GRUB’s own `root (hd0,0)` is left alone.',
  plan: (guest) => fixCommandLines(guest, NAME, KINDS),
  proof: commandLineProof(KINDS),
};
