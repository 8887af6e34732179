import { posix } from 'node:path';
import { bootFiles, mapCommandLines } from '../../guest/command-line-files.js';
import { hasProgram } from '../../guest/programs.js';
import { shellAssignments } from '../../guest/shell-assignments.js';
import type { GuestTree } from '../../guest/tree.js';
import type { Warning } from '../../model/plan.js';
import type { Operation } from '../../operations/registry.js';
import { filesIn, putFile, rewriteFile } from '../base/edit.js';
import type { Fixer, Guest } from '../base/fixer.js';
import { chooseDevices, driversOf } from './devices.js';
import {
  admitInDracut,
  admitInModprobe,
  admitOnCommandLine,
  type Exclusions,
  mayExclude,
} from './module-exclusions.js';
import { moduleIndex } from './modules.js';

const NAME = 'driver-exclusions';
const REASON = 'it excludes drivers of the new VM’s disks and network card';

export const driverExclusions: Fixer = {
  name: NAME,
  whileRunning: true,
  description:
    'Exclusions of a driver for the new VM’s disks or network card are removed, with a warning: dracut’s omit_drivers, `blacklist` and `install` lines of modprobe.d, and lists such as rd.driver.blacklist= and modprobe.blacklist= on the kernel’s command lines. Lines become comments, so that they can be restored. A file in a package’s directory stays, and a changed copy in /etc overrides it. Copies inside an initramfs are replaced when the drivers are added.',
  plan(guest) {
    const operations: Operation[] = [];
    const warnings: Warning[] = [];
    const note = (path: string, planned: readonly Operation[], { taken }: Exclusions) => {
      operations.push(...planned);
      if (taken.size === 0) return;
      const message = `${path} excludes ${[...taken].sort().join(', ')}, which the VM needs on KVM: the exclusion is removed`;
      warnings.push({ fixer: NAME, code: 'boot.driver-excluded', message });
    };
    const { drivers } = exclusionsOf(guest);
    for (const { paths, change } of configurations(guest.tree))
      for (const path of paths) {
        const exclusions = { drivers, taken: new Set<string>() };
        note(
          path,
          changeFile(guest.tree, path, (text) => change(text, exclusions)),
          exclusions,
        );
      }
    for (const { path, kind } of bootFiles(guest.tree)) {
      const exclusions = { drivers, taken: new Set<string>() };
      const change = (args: string) => admitOnCommandLine(args, exclusions);
      const planned = rewriteFile(guest.tree, path, { fixer: NAME, reason: REASON }, (text) =>
        // A search through all of a large file costs less than one through each of its lines.
        mayExclude(text) ? mapCommandLines(text, kind, change) : text,
      );
      note(path, planned, exclusions);
    }
    return { operations, warnings: [...warnings, ...omittedParts(guest.tree)] };
  },
};

/** Returns the drivers of the chosen devices and all their dependencies in any of the kernels. */
export function exclusionsOf(guest: Guest): Exclusions {
  const drivers = driversOf(chooseDevices(guest));
  const closures = guest.identity.kernels.flatMap((kernel) =>
    moduleIndex(guest.tree, kernel).closure(drivers),
  );
  return { drivers: new Set([...drivers, ...closures]), taken: new Set() };
}

interface Configuration {
  paths: string[];
  change(text: string, exclusions: Exclusions): string;
}

const DRACUT_DIRECTORIES = ['/etc/dracut.conf.d', '/usr/lib/dracut/dracut.conf.d'];
const MODPROBE_DIRECTORIES = ['/etc/modprobe.d', '/usr/lib/modprobe.d', '/lib/modprobe.d'];

function configurations(tree: GuestTree): Configuration[] {
  const dracut = ['/etc/dracut.conf', ...effective(tree, DRACUT_DIRECTORIES, /\.conf$/)];
  // Before module-init-tools 3.12 files of any name were read.
  const modprobe = ['/etc/modprobe.conf', '/etc/modprobe.conf.local'];
  return [
    { paths: dracut, change: admitInDracut },
    { paths: [...modprobe, ...effective(tree, MODPROBE_DIRECTORIES, /^[^.]/)], change: admitInModprobe },
  ];
}

/** Returns the files of the directories; a file in an earlier one hides that of the same name in a later one. */
function effective(tree: GuestTree, directories: readonly string[], name: RegExp): string[] {
  const found = new Map<string, string>();
  for (const directory of directories)
    for (const path of filesIn(tree, directory, name))
      if (!found.has(posix.basename(path))) found.set(posix.basename(path), path);
  return [...found.values()];
}

/** Changes a file in /etc in place. A package's file stays: a copy of the same name in /etc overrides it. */
function changeFile(tree: GuestTree, path: string, change: (text: string) => string): Operation[] {
  const cause = { fixer: NAME, reason: REASON };
  if (path.startsWith('/etc/')) return rewriteFile(tree, path, cause, change);
  const text = tree.text(path)?.text;
  const after = text === undefined ? undefined : change(text);
  if (after === undefined || after === text) return [];
  const own = path.replace(/^(?:\/usr)?\/lib\/(?:dracut\/)?/, '/etc/');
  return putFile(tree, own, cause, after);
}

/** Modules of dracut without which an initramfs has no drivers. */
const PARTS = /(?<![\w-])(kernel-modules|udev-rules|rootfs-block)(?![\w-])/;

function omittedParts(tree: GuestTree): Warning[] {
  if (!hasProgram(tree, 'dracut')) return [];
  return ['/etc/dracut.conf', ...effective(tree, DRACUT_DIRECTORIES, /\.conf$/)].flatMap((path) => {
    const text = tree.text(path)?.text ?? '';
    const parts = shellAssignments(text)
      .filter(({ name }) => name === 'omit_dracutmodules')
      .flatMap(({ start, end }) => PARTS.exec(text.slice(start, end))?.[1] ?? []);
    if (parts.length === 0) return [];
    const message = `${path} omits ${parts.join(', ')} from every new initramfs: the guest may not find its disks after its next kernel update`;
    return [{ fixer: NAME, code: 'boot.dracut-module', message }];
  });
}
