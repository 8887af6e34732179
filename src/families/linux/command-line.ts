import { Hyper2kvmError } from '../../errors/error.js';
import {
  type BootFile,
  type BootFileKind,
  bootFiles,
  isByHand,
  mapCommandLines,
} from '../../guest/command-line-files.js';
import { isUnstableName } from '../../guest/device-names.js';
import { machineArchitecture } from '../../machine/architecture.js';
import type { Identity } from '../../model/identity.js';
import type { Warning } from '../../model/plan.js';
import { rewriteFile } from '../base/edit.js';
import type { FixerResult, Guest } from '../base/fixer.js';
import { duplicateError } from './fstab.js';
import { copiesOf, type NameHint, stabilise } from './stable-names.js';
import { startsWithoutInitramfs, supportsPartuuid } from './without-initramfs.js';

/** Options of the kernel, dracut, initramfs-tools, mkinitcpio and genkernel that name a block device. */
const DEVICE_OPTION =
  /(?<![^\s"'=])((?:root|real_root|resume|boot|mount\.usr|swap|cryptdevice|rd\.[\w.]+)=)(\/dev\/[^\s"']+)/g;

/**
 * Rewrites the device names in all command lines of files of these kinds, then applies `also` to the whole
 * text. Throws `plan.root-unresolved` for a `root=` that cannot be resolved.
 */
export function fixCommandLines(
  guest: Guest,
  fixer: string,
  kinds: readonly BootFileKind[],
  also: (text: string, file: BootFile, warnings: Warning[]) => string = (text) => text,
): FixerResult {
  const warnings: Warning[] = [];
  const operations = bootFiles(guest.tree)
    .filter(({ kind }) => kinds.includes(kind))
    .flatMap((file) => {
      const { path, kind } = file;
      const byHand = isByHand(file);
      const reason = 'the kernel is started with device names that do not exist on KVM';
      return rewriteFile(guest.tree, path, { fixer, reason }, (text) => {
        const lacksInitramfs = startsWithoutInitramfs({ path, kind }, text, guest);
        const changed = mapCommandLines(text, kind, (args, line, index) =>
          stableArguments(args, guest, {
            fixer,
            path,
            warnings,
            line,
            lacksInitramfs: lacksInitramfs(index),
            byHand,
          }),
        );
        return also(changed, file, warnings);
      });
    });
  return { operations, warnings };
}

interface Place {
  fixer: string;
  path: string;
  warnings: Warning[];
  line: string;
  /** True if the kernel is started without an initramfs; see without-initramfs.ts. */
  lacksInitramfs: boolean;
  /** True for an entry that the system does not start by itself: an unresolved name is only a warning. */
  byHand: boolean;
}

/** Returns `args` with UUIDs; an option that cannot be resolved is passed to `unresolved`. */
export function stableOptions(
  args: string,
  guest: Guest,
  unresolved: (whole: string, option: string) => string = (whole) => whole,
  { lacksInitramfs = false, byHand = false }: { lacksInitramfs?: boolean; byHand?: boolean } = {},
): string {
  return args.replace(DEVICE_OPTION, (whole, option: string, value: string) => {
    const device = unstablePart(option, value);
    if (device === null) return whole;
    const stable = stabilise(device, guest, hintOf(option, lacksInitramfs, byHand));
    return stable === null ? unresolved(whole, option) : `${option}${stable}${value.slice(device.length)}`;
  });
}

function stableArguments(args: string, guest: Guest, place: Place): string {
  const unresolved = (whole: string, option: string) => {
    const isRoot = option === 'root=' && !place.byHand;
    const copies = isRoot ? copiesOf(whole.slice(option.length), guest) : [];
    if (copies.length > 0) throw duplicateError(`${whole} in ${place.path}`, copies);
    if (isRoot && place.lacksInitramfs) throw withoutInitramfs(whole, place);
    if (isRoot)
      throw new Hyper2kvmError(
        'plan.root-unresolved',
        `cannot tell which filesystem ${whole} in ${place.path} is`,
      );
    const message = `${whole} in ${place.path} is on none of the VM's disks and was left unchanged`;
    if (!place.warnings.some((warning) => warning.message === message))
      place.warnings.push({ fixer: place.fixer, code: 'boot.unresolved', message });
    return whole;
  };
  const stable = stableOptions(args, guest, unresolved, place);
  const partuuid = /(?<!\S)root=PARTUUID=(\S+)/.exec(stable)?.[1];
  if (stable !== args && place.lacksInitramfs && partuuid !== undefined)
    if (!place.byHand && !supportsPartuuid(place.line, partuuid, guest))
      throw withoutInitramfs(`root=PARTUUID=${partuuid}`, place);
  return stable;
}

function withoutInitramfs(root: string, { path }: Place): Hyper2kvmError {
  return new Hyper2kvmError(
    'plan.root-unresolved',
    `a kernel in ${path} is started without an initramfs and cannot find ${root} on KVM`,
    {
      advice:
        'Without an initramfs only root=PARTUUID= survives the move, for a partition (not a whole disk) that no other disk has a copy of; an MBR’s needs Linux 3.8. Give the guest an initramfs before the conversion.',
    },
  );
}

/**
 * Returns the device of `cryptdevice=DEVICE:NAME[:options]`. by-path names contain colons too, so it is the
 * longest prefix that ends like a device.
 */
function unstablePart(option: string, value: string): string | null {
  if (option !== 'cryptdevice=') return isUnstableName(value) ? value : null;
  const device =
    /^\/dev\/disk\/by-(?:path|id)\/\S+?-part\d+(?=:|$)/.exec(value)?.[0] ?? value.split(':')[0] ?? '';
  return isUnstableName(device) ? device : null;
}

/**
 * Returns how to resolve the device of an option. Without an initramfs the kernel itself looks for the root,
 * and it knows partitions, not filesystems.
 */
function hintOf(option: string, lacksInitramfs: boolean, byHand: boolean): NameHint {
  // An entry by hand may start another system than this one, so the mount point does not identify its root.
  const place = byHand ? {} : { mountpoint: '/' };
  if (option === 'root=') return lacksInitramfs ? { ...place, only: 'partuuid' } : place;
  if (byHand) return {};
  return option === 'resume=' ? { type: 'swap' } : {};
}

/**
 * Returns the kernel options for a boot whose output is read on the first serial port: the last `console=`
 * becomes /dev/console.
 */
export function serialConsoleOptions({ architecture }: Pick<Identity, 'architecture'>): string {
  return `console=tty0 console=${machineArchitecture(architecture).console},115200n8`;
}

/** Returns `args` followed by `options`, but before `---`, after which arguments for init begin. */
export function appendArguments(args: string, options: string): string {
  const init = args.search(/\s---?(?:\s|$)/);
  const kernel = init === -1 ? args : args.slice(0, init);
  return `${kernel.trimEnd()} ${options}${init === -1 ? '' : args.slice(init)}`.trimStart();
}

/** Boot loader lines that start something other than a Linux kernel get no console. */
const NOT_LINUX = /memtest|\bmodule2?\s+\S*(initr|ucode)/i;

export function hasKernelArguments(kind: BootFileKind, line: string): boolean {
  if (kind === 'grub2') return /^\s*linux/.test(line) && !NOT_LINUX.test(line);
  // Scripts have lines that GRUB's own entries are made of, with variables in them.
  if (kind === 'grub-script') return /^\s*linux/.test(line) && !line.includes('$') && !NOT_LINUX.test(line);
  if (kind === 'elilo') return /^\s*append\s*=/.test(line);
  if (kind === 'grub-legacy') return /^\s*kernel\s/.test(line) && !NOT_LINUX.test(line);
  if (kind === 'grub-defaults') return /GRUB_CMDLINE_LINUX\+?=/.test(line);
  if (kind === 'update-extlinux') return line.startsWith('default_kernel_opts');
  return kind !== 'grubenv';
}
