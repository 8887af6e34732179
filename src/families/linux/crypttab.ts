import { isUnstableName, resolveDevice } from '../../guest/device-names.js';
import type { Warning } from '../../model/plan.js';
import { mapLines } from '../../text/lines.js';
import { rewriteFile } from '../base/edit.js';
import type { Fixer, Guest } from '../base/fixer.js';
import { stabilise } from './stable-names.js';

const NAME = 'crypttab';

export const crypttab: Fixer = {
  name: NAME,
  description:
    'Lines of /etc/crypttab that name a disk by its place on the old hypervisor get the UUID of the LUKS container; a swap area with a random key, which has no header, gets its PARTUUID. Key files and options stay; with fix.initramfs = "rebuild" the container of the root filesystem gets Debian’s option `initramfs`.',
  plan(guest) {
    const warnings: Warning[] = [];
    const reason = 'the device of an encrypted volume must be found on KVM too';
    const operations = rewriteFile(guest.tree, '/etc/crypttab', { fixer: NAME, reason }, (text) =>
      neededEarly(stableCrypttab(text, guest, warnings), guest),
    );
    return { operations, warnings };
  },
};

/**
 * Adds crypttab(5)'s option `initramfs` on Debian. In the appliance a container has a different name than in
 * the guest, so the cryptsetup hook of initramfs-tools does not see that the root is in it. Needed only where
 * the initramfs is rebuilt there.
 */
function neededEarly(text: string, { identity, options, controllers }: Guest): string {
  if (options.initramfs !== 'rebuild' || identity.initramfs_tool !== 'initramfs-tools') return text;
  const { filesystems, root } = identity;
  return mapLines(text, (line) => {
    const [whole = '', , device = '', , key = '', given = ''] = LINE.exec(line) ?? [];
    const container = resolveDevice(device, { filesystems, controllers });
    const inside = filesystems.find((other) => other.device === `/dev/mapper/luks-${container?.uuid}`);
    const holdsRoot = inside !== undefined && (inside.device === root || inside.type === 'LVM2_member');
    if (!holdsRoot || key === '' || given.split(',').includes('initramfs')) return line;
    return `${whole}${given === '' ? ' ' : ','}initramfs${line.slice(whole.length)}`;
  });
}

export const stableCrypttab = (text: string, guest: Guest, warnings: Warning[]): string =>
  mapLines(text, (line) => fixLine(line, guest, warnings));

/** crypttab(5): name, device, key file, options. */
const LINE = /^(\s*[^\s#]\S*\s+)(\S+)(?:(\s+)(\S+)(?:\s+(\S+))?)?/;

function fixLine(line: string, guest: Guest, warnings: Warning[]): string {
  const [, before = '', device = '', , key = '', options = ''] = LINE.exec(line) ?? [];
  if (!isUnstableName(device)) return line;
  const isPlain =
    /^\/dev\/u?random$/.test(key) ||
    options.split(',').some((option) => option === 'plain' || option === 'swap');
  const stable = stabilise(device, guest, isPlain ? { only: 'partuuid' } : {});
  if (stable !== null) return `${before}${stable}${line.slice(before.length + device.length)}`;
  warnings.push({
    fixer: NAME,
    code: 'crypttab.unresolved',
    message: `${device} (${before.trim()}) is on none of the VM's disks: the line was left unchanged`,
  });
  return line;
}
