import { Hyper2kvmError } from '../../errors.js';
import { rewriteFile } from '../edit.js';
import type { FixerResult, Guest } from '../fixer.js';
import type { Warning } from '../operation.js';
import { type BootFileKind, bootFiles, mapCommandLines } from './boot-files.js';
import { isUnstableName } from './device-names.js';
import { stabilise } from './stable-names.js';

/** Options of the kernel, dracut, initramfs-tools, mkinitcpio and genkernel that name a block device. */
const DEVICE_OPTION =
  /(?<![^\s"'=])((?:root|real_root|resume|boot|mount\.usr|swap|cryptdevice|rd\.[\w.]+)=)(\/dev\/[^\s"']+)/g;

/**
 * Rewrites the device names in all command lines of these kinds, then `also` on the whole text. `root=` that cannot be resolved throws
 * `plan.root-unresolved`.
 */
export function fixCommandLines(
  guest: Guest,
  fixer: string,
  kinds: readonly BootFileKind[],
  also: (text: string, kind: BootFileKind) => string = (text) => text,
): FixerResult {
  const warnings: Warning[] = [];
  const operations = bootFiles(guest.tree)
    .filter(({ kind }) => kinds.includes(kind))
    .flatMap(({ path, kind }) => {
      const reason = 'the kernel is started with device names that do not exist on KVM';
      return rewriteFile(guest.tree, path, { fixer, reason }, (text) =>
        also(
          mapCommandLines(text, kind, (args) => stableArguments(args, guest, { fixer, path, warnings })),
          kind,
        ),
      );
    });
  return { operations, warnings };
}

interface Place {
  fixer: string;
  path: string;
  warnings: Warning[];
}

/** `args` with UUIDs; an option that cannot be resolved goes through `unresolved`. */
export function stableOptions(
  args: string,
  guest: Guest,
  unresolved: (whole: string, option: string) => string = (whole) => whole,
): string {
  return args.replace(DEVICE_OPTION, (whole, option: string, value: string) => {
    const device = unstablePart(option, value);
    if (device === null) return whole;
    const stable = stabilise(device, guest, hintOf(option, guest));
    return stable === null ? unresolved(whole, option) : `${option}${stable}${value.slice(device.length)}`;
  });
}

function stableArguments(args: string, guest: Guest, place: Place): string {
  return stableOptions(args, guest, (whole, option) => {
    if (option === 'root=')
      throw new Hyper2kvmError(
        'plan.root-unresolved',
        `cannot tell which filesystem ${whole} in ${place.path} is`,
        {
          advice:
            'Give the boot loader of the guest root=UUID=… before the conversion, or drop all disks of the VM together.',
        },
      );
    const message = `${whole} in ${place.path} is on none of the VM's disks: it stays as it is`;
    if (!place.warnings.some((warning) => warning.message === message))
      place.warnings.push({ fixer: place.fixer, code: 'boot.unresolved', message });
    return whole;
  });
}

/** `cryptdevice=DEVICE:NAME[:options]`: by-path names have colons too, so the device is the longest part that ends like one. */
function unstablePart(option: string, value: string): string | null {
  if (option !== 'cryptdevice=') return isUnstableName(value) ? value : null;
  const device =
    /^\/dev\/disk\/by-(?:path|id)\/\S+?-part\d+(?=:|$)/.exec(value)?.[0] ?? value.split(':')[0] ?? '';
  return isUnstableName(device) ? device : null;
}

/** Without an initramfs only the kernel itself looks for the root, and it knows partitions, not filesystems. */
function hintOf(option: string, { identity }: Guest) {
  const kernelAlone =
    identity.kernels.length > 0 && identity.kernels.every((kernel) => kernel.initramfs === null);
  if (option === 'root=')
    return kernelAlone ? { mountpoint: '/', prefer: 'partuuid' as const } : { mountpoint: '/' };
  return option === 'resume=' ? { type: 'swap' } : {};
}

/** Options for boots that are to be read on the first serial port: last `console=` is /dev/console. */
export const SERIAL_CONSOLE = 'console=tty0 console=ttyS0,115200n8';

/** `args` with `options` behind them, but before `---`, where arguments for init begin. */
export function appendArguments(args: string, options: string): string {
  const init = args.search(/\s---?(?:\s|$)/);
  const kernel = init === -1 ? args : args.slice(0, init);
  return `${kernel.trimEnd()} ${options}${init === -1 ? '' : args.slice(init)}`.trimStart();
}

/** Boot loaders' lines that start something else than a Linux kernel get no console. */
const NOT_LINUX = /memtest|\bmodule2?\s+\S*(initr|ucode)/i;

export function hasKernelArguments(kind: BootFileKind, line: string): boolean {
  if (kind === 'grub2') return /^\s*linux/.test(line) && !NOT_LINUX.test(line);
  if (kind === 'grub-legacy') return /^\s*kernel\s/.test(line) && !NOT_LINUX.test(line);
  if (kind === 'grub-defaults') return /GRUB_CMDLINE_LINUX\+?=/.test(line);
  if (kind === 'update-extlinux') return line.startsWith('default_kernel_opts');
  return kind !== 'grubenv';
}
