import { isUnstableName, resolveDevice } from '../../guest/device-names.js';
import type { GuestTree } from '../../guest/tree.js';
import type { Warning } from '../../model/plan.js';
import { mapLines, shortLines } from '../../text/lines.js';
import { rewriteFile } from '../base/edit.js';
import type { Fixer, Guest } from '../base/fixer.js';
import { isNamed, namesOfDevice } from './nofail.js';
import { stabilise } from './stable-names.js';

const NAME = 'crypttab';
const PATH = '/etc/crypttab';

export const crypttab: Fixer = {
  name: NAME,
  whileRunning: true,
  description:
    'Lines of /etc/crypttab that name a disk by its place on the old hypervisor get the UUID of the LUKS container; a swap area with a random key, which has no header, gets its PARTUUID. Key files and options stay; a line that fix.nofail names gets nofail; with fix.initramfs = "rebuild" the container of the root filesystem gets Debian’s option `initramfs`.',
  plan(guest) {
    const warnings: Warning[] = [];
    const reason = 'the device of an encrypted volume must be found on KVM too';
    const operations = rewriteFile(guest.tree, PATH, { fixer: NAME, reason }, (text) =>
      excuse(neededEarly(stableCrypttab(text, guest, warnings), guest), text, guest, warnings),
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

/** Gives nofail to the lines that fix.nofail names. `before` has the names that a boot was seen to wait for, too. */
function excuse(text: string, before: string, { options }: Guest, warnings: Warning[]): string {
  const named = [...excusedNames(text, options.nofail), ...excusedNames(before, options.nofail)];
  if (named.length === 0) return text;
  return mapLines(text, (line) => {
    const [whole = '', head = '', device = '', blank = '', key = '', given = ''] = LINE.exec(line) ?? [];
    const name = head.trim();
    if (!named.includes(name) || given.split(',').includes('nofail')) return line;
    const message = `${name} (${device}) got nofail, because fix.nofail names it: the guest starts without it`;
    warnings.push({ fixer: NAME, code: 'crypttab.nofail', message });
    const rest = line.slice(whole.length);
    if (key === '') return `${head}${device}${blank} none nofail${rest}`;
    return `${whole}${given === '' ? ' ' : ','}nofail${rest}`;
  });
}

/** Returns the volumes of a crypttab that one of `wanted` means, by the volume's name or that of its device. */
function excusedNames(text: string, wanted: readonly string[]): string[] {
  const volumes = shortLines(text).flatMap((line) => {
    const [, head = '', device = ''] = LINE.exec(line) ?? [];
    const name = head.trim();
    return name === '' ? [] : [{ name, names: [name, ...namesOfDevice(device)] }];
  });
  const found = wanted.map((one) => volumes.filter(({ names }) => isNamed(one, names)));
  return found.flatMap((one) => (one.length === 1 ? one.map(({ name }) => name) : []));
}

/** Returns the paths below /dev/mapper of the volumes that `wanted` means. */
export function namesInCrypttab(tree: GuestTree, wanted: string): string[] {
  const text = tree.text(PATH)?.text ?? '';
  return excusedNames(text, [wanted]).map((name) => `/dev/mapper/${name}`);
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
