import type { BootFileKind } from '../../guest/command-line-files.js';
import { isUnstableName } from '../../guest/device-names.js';
import { mapAssignments } from '../../guest/shell-assignments.js';
import type { Warning } from '../../model/plan.js';
import type { Fixer, Guest } from '../base/fixer.js';
import { fixCommandLines } from './command-line.js';
import { commandLineProof } from './command-line-proof.js';
import { stabilise } from './stable-names.js';

const NAME = 'grub2';
const KINDS: readonly BootFileKind[] = ['grub2', 'grubenv', 'grub-defaults', 'grub-script'];

export const grub2: Fixer = {
  name: NAME,
  whileRunning: true,
  description:
    'Kernel command lines in every grub.cfg and custom.cfg, in grubenv and in their sources /etc/default/grub and /etc/grub.d get root=UUID=… (and resume= and the like) instead of /dev/sdXN; an entry that starts a kernel without an initramfs gets root=PARTUUID=…. GRUB’s own `set root=` and `search` lines are left alone: GRUB finds its filesystem by UUID. GRUB_DISABLE_LINUX_UUID=true is disabled and GRUB_DEVICE gets a name by UUID, because the next update-grub would write the old names again.',
  plan: (guest) =>
    fixCommandLines(guest, NAME, KINDS, (text, { path, kind }, warnings) =>
      kind === 'grub-defaults' ? stableDefaults(text, { guest, path, warnings }) : text,
    ),
  proof: commandLineProof(KINDS),
};

/** What grub-mkconfig is told about names of devices beside the command lines. */
function stableDefaults(
  text: string,
  { guest, path, warnings }: { guest: Guest; path: string; warnings: Warning[] },
): string {
  return mapAssignments(text, ({ name }, value) => {
    if (/^GRUB_DISABLE_(LINUX_)?UUID$/.test(name)) return value === 'true' ? 'false' : value;
    if (!/^GRUB_DEVICE(_BOOT)?$/.test(name) || !isUnstableName(value)) return value;
    // grub-probe(8) looks at it as a device, so it must be a path.
    const stable = stabilise(value, guest, { mountpoint: name === 'GRUB_DEVICE' ? '/' : '/boot' });
    const [, key, id] = /^(UUID|PARTUUID)=(.+)$/.exec(stable ?? '') ?? [];
    if (key !== undefined && id !== undefined) return `/dev/disk/by-${key.toLowerCase()}/${id}`;
    const message = `${name}=${value} in ${path} is on none of the VM's disks: it stays as it is`;
    warnings.push({ fixer: NAME, code: 'boot.unresolved', message });
    return value;
  });
}
