import type { Fixer } from '../base/fixer.js';
import { fixCommandLines } from './command-line.js';

const NAME = 'extlinux';

export const extlinux: Fixer = {
  name: NAME,
  description:
    'extlinux and syslinux: root= on the APPEND lines, and in Alpine’s /etc/update-extlinux.conf that they are made from, get UUIDs.',
  plan: (guest) => fixCommandLines(guest, NAME, ['extlinux', 'update-extlinux']),
};
