import type { Fixer } from '../base/fixer.js';
import { fixCommandLines } from './command-line.js';

const NAME = 'grub-legacy';

export const grubLegacy: Fixer = {
  name: NAME,
  description:
    'GRUB legacy (menu.lst, grub.conf): root= and the like on the kernel lines, and in the kopt comment that update-grub reads, get UUIDs. `root (hd0,0)` is GRUB’s own and stays.',
  plan: (guest) => fixCommandLines(guest, NAME, ['grub-legacy']),
};
