import type { BootFileKind } from '../../guest/command-line-files.js';
import type { Fixer } from '../base/fixer.js';
import { fixCommandLines } from './command-line.js';
import { commandLineProof } from './command-line-proof.js';

const NAME = 'extlinux';
const KINDS: readonly BootFileKind[] = ['extlinux', 'update-extlinux', 'elilo'];

export const extlinux: Fixer = {
  name: NAME,
  whileRunning: true,
  description:
    'extlinux and syslinux: root= on the APPEND lines, and in Alpine’s /etc/update-extlinux.conf, from which they are generated, gets UUIDs. So do root= and append= of elilo.',
  plan: (guest) => fixCommandLines(guest, NAME, KINDS),
  proof: commandLineProof(KINDS),
};
