import type { BootFileKind } from '../../guest/command-line-files.js';
import { mapLines } from '../../text/lines.js';
import type { Fixer } from '../base/fixer.js';
import { fixCommandLines } from './command-line.js';
import { commandLineProof } from './command-line-proof.js';

const NAME = 'grub2';
const KINDS: readonly BootFileKind[] = ['grub2', 'grubenv', 'grub-defaults'];

export const grub2: Fixer = {
  name: NAME,
  description:
    'Kernel command lines in every grub.cfg, in grubenv and in their source /etc/default/grub get root=UUID=… (and resume= and the like) instead of /dev/sdXN; an entry that starts a kernel without an initramfs gets root=PARTUUID=…. GRUB’s own `set root=` and `search` lines are left alone: GRUB finds its filesystem by UUID. GRUB_DISABLE_LINUX_UUID=true is disabled, because the next update-grub would write the old names again.',
  plan: (guest) =>
    fixCommandLines(guest, NAME, KINDS, (text, kind) =>
      kind === 'grub-defaults' ? mapLines(text, useUuids) : text,
    ),
  proof: commandLineProof(KINDS),
};

const useUuids = (line: string) => line.replace(/^(\s*GRUB_DISABLE_LINUX_UUID=)(["']?)true\2/, '$1$2false$2');
