import { parseSectionPath } from '../../guest/unified-image.js';
import { shortLines } from '../../text/lines.js';
import type { Guest } from '../base/fixer.js';
import {
  type BootFile,
  type BootFileKind,
  bootFiles,
  mapCommandLines,
} from './boot-loader/command-line-files.js';

const GRUB2 = /^\s*(menuentry|submenu|linux(16|efi)?|multiboot2?)\s/;
/**
 * Where an entry of a boot loader's file begins; what belongs to a command line stands between two of these.
 */
const ENTRY: Partial<Record<BootFileKind, RegExp>> = {
  grub2: GRUB2,
  'grub-script': GRUB2,
  'grub-legacy': /^\s*title\s/i,
  extlinux: /^\s*label\s/i,
  elilo: /^\s*image\s*=/,
};
/** Lines that give the kernel an initramfs; Xen takes it as a module. */
const INITRAMFS = /^\s*(initrd(16|efi)?|module2?(\s+--\S+)*\s+\S*initr\S*)(\s|$)|(^|\s)initrd\s*=/i;
/** Lines that are not started as they are: what other lines take in, and what files are made from. */
const SOURCE_LINE = /^\s*(set\s|#)/;

/**
 * Tells of the command lines of a file by their line's number: true where the kernel is started without an
 * initramfs. It knows partitions then, not filesystems, so it takes `root=PARTUUID=` and no `root=UUID=`.
 * Sources of command lines go by all kernels of the guest.
 */
export function kernelsAlone(file: BootFile, text: string, guest: Guest): (index: number) => boolean {
  if (file.kind === 'unified') {
    const image = parseSectionPath(file.path)?.image;
    const isAlone = guest.identity.kernels.some(
      (kernel) => kernel.image === image && kernel.initramfs === null,
    );
    return () => isAlone;
  }
  const { sources, alone } = readEntries(file, text);
  let all: boolean | undefined;
  return (index) => {
    if (!sources.has(index)) return alone.has(index);
    all ??= areAllAlone(guest);
    return all;
  };
}

/** Numbers of the lines that are not started as they are, and of those in entries without an initramfs. */
function readEntries({ kind }: BootFile, text: string): { sources: Set<number>; alone: Set<number> } {
  const begin = ENTRY[kind];
  const sources = new Set<number>();
  const alone = new Set<number>();
  let entry: number[] = [];
  let hasInitramfs = false;
  const end = () => {
    if (!hasInitramfs) for (const index of entry) alone.add(index);
    entry = [];
    hasInitramfs = false;
  };
  for (const [index, line] of shortLines(text).entries()) {
    if (kind !== 'bls' && (begin === undefined || SOURCE_LINE.test(line))) sources.add(index);
    if (begin?.test(line) === true) end();
    entry.push(index);
    hasInitramfs ||= INITRAMFS.test(line);
  }
  end();
  return { sources, alone };
}

/** Where no modules tell of the kernels, the boot loader's entries do. */
function areAllAlone(guest: Guest): boolean {
  const { kernels } = guest.identity;
  if (kernels.length > 0) return kernels.every(({ initramfs }) => initramfs === null);
  const found = bootFiles(guest.tree).flatMap((file) => {
    if (file.kind !== 'bls' && ENTRY[file.kind] === undefined) return [];
    const text = guest.tree.text(file.path)?.text ?? '';
    const { sources, alone } = readEntries(file, text);
    const inFile: boolean[] = [];
    mapCommandLines(text, file.kind, (args, _line, index) => {
      if (!sources.has(index) && /(^|\s)root=/.test(args)) inFile.push(alone.has(index));
      return args;
    });
    return inFile;
  });
  return found.length > 0 && found.every(Boolean);
}

/** Disk signature and number: a partition of an MBR. */
const MBR_PARTUUID = /^[0-9a-f]{8}-[0-9a-f]{2}$/i;

/**
 * False where the kernel that `line` starts is known to be too old for this PARTUUID: Linux knows a GPT's
 * since 2.6.37, an MBR's since 3.8.
 */
export function knowsPartuuid(line: string, partuuid: string, { identity }: Guest): boolean {
  const kernel = identity.kernels.find(({ image }) =>
    line.split(/\s+/).some((word) => word.split('/').at(-1) === image.split('/').at(-1)),
  );
  const [, major = '99', minor = '0', patch = '0'] =
    /^(\d+)\.(\d+)(?:\.(\d+))?/.exec(kernel?.version ?? '') ?? [];
  const version = (Number(major) * 1000 + Number(minor)) * 1000 + Number(patch);
  return version >= (MBR_PARTUUID.test(partuuid) ? 3_008_000 : 2_006_037);
}
