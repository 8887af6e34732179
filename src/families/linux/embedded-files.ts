import type { Kernel } from '../../model/identity.js';
import { mapLines } from '../../text/lines.js';
import type { Guest } from '../base/fixer.js';
import { stableOptions } from './command-line.js';
import { stableCrypttab } from './crypttab.js';
import { exclusionsOf } from './driver-exclusions.js';
import { admitVirtio } from './lvm.js';
import { admitInModprobe, admitOnCommandLine } from './module-exclusions.js';
import { stableResume } from './resume.js';

/** A configuration file inside an initramfs and what it should say; null: it should not be there. */
export interface Replacement {
  path: string;
  text: string | null;
}

/**
 * An initramfs has copies of the guest's files from the day it was made. Those that name devices of the old
 * hypervisor would be waited for, and drivers would be kept out, whatever /etc says by now: they are replaced by the same rules. Empty where
 * nothing is wrong. Pure.
 */
export function staleCopies({ initramfs: image }: Pick<Kernel, 'initramfs'>, guest: Guest): Replacement[] {
  return Object.entries(image?.texts ?? {}).flatMap(([path, text]) => {
    const after = textAfter(path, text, guest);
    return after === text ? [] : [{ path, text: after }];
  });
}

function textAfter(path: string, text: string, guest: Guest): string | null {
  // Without the list LVM looks at every device (lvmdevices(8)).
  if (path.endsWith('/system.devices')) return null;
  // It was warned of with the guest's own file.
  if (/\/lvm(local)?\.conf$/.test(path)) return admitVirtio(text, path, []);
  // What cannot be resolved was warned of with the guest's own file.
  if (path.endsWith('/crypttab')) return stableCrypttab(text, guest, []);
  if (path.startsWith('etc/cmdline.d/'))
    return mapLines(text, (line) => admitOnCommandLine(stableOptions(line, guest), exclusionsOf(guest)));
  if (/(^|\/)modprobe\./.test(path)) return admitInModprobe(text, exclusionsOf(guest));
  return stableResume(text, guest);
}
