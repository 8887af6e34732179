import type { Kernel } from '../../model/identity.js';
import { mapLines } from '../../text/lines.js';
import type { Guest } from '../base/fixer.js';
import { stableOptions } from './command-line.js';
import { stableCrypttab } from './crypttab.js';
import { exclusionsOf } from './driver-exclusions.js';
import { stableFilters } from './lvm.js';
import { admitInModprobe, admitOnCommandLine, type Exclusions } from './module-exclusions.js';
import { stableResume } from './resume.js';

/** A configuration file inside an initramfs and its correct content; null if it should not exist. */
export interface Replacement {
  path: string;
  text: string | null;
}

/**
 * Returns the outdated copies of the guest's files in an initramfs, and what replaces them by the same rules
 * as in /etc. The boot would wait for the old hypervisor's devices that they name, or go without the drivers
 * that they exclude, whatever /etc says. Pure.
 */
export function staleCopies({ initramfs: image }: Pick<Kernel, 'initramfs'>, guest: Guest): Replacement[] {
  // Made once: it reads the module indexes of all kernels.
  let made: Exclusions | undefined;
  const exclusions = () => {
    made ??= exclusionsOf(guest);
    return made;
  };
  return Object.entries(image?.texts ?? {}).flatMap(([path, text]) => {
    const after = textAfter(path, text, guest, exclusions);
    return after === text ? [] : [{ path, text: after }];
  });
}

function textAfter(path: string, text: string, guest: Guest, exclusions: () => Exclusions): string | null {
  // LVM then looks at every device (lvmdevices(8)).
  if (path.startsWith('etc/lvm/devices/')) return null;
  // The fixer has warned about the guest's own file already.
  if (/\/lvm(local)?\.conf$/.test(path)) return stableFilters(text, path, guest, []);
  // The fixer has warned about the guest's own file already.
  if (path.endsWith('/crypttab')) return stableCrypttab(text, guest, []);
  if (path.startsWith('etc/cmdline.d/'))
    return mapLines(text, (line) => admitOnCommandLine(stableOptions(line, guest), exclusions()));
  if (/(^|\/)modprobe\./.test(path)) return admitInModprobe(text, exclusions());
  return stableResume(text, guest);
}
