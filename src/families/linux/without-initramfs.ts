import {
  type BootFile,
  type BootFileKind,
  bootFiles,
  mapCommandLines,
} from '../../guest/command-line-files.js';
import { parseSectionPath } from '../../guest/unified-image.js';
import { shortLines } from '../../text/lines.js';
import type { Guest } from '../base/fixer.js';

const GRUB2 = /^\s*(menuentry|submenu|linux(16|efi)?|multiboot2?)\s/;
/** The beginning of an entry in a boot loader's file; a kernel and its initramfs are between two of these. */
const ENTRY: Partial<Record<BootFileKind, RegExp>> = {
  grub2: GRUB2,
  'grub-script': GRUB2,
  'grub-legacy': /^\s*title\s/i,
  extlinux: /^\s*label\s/i,
  elilo: /^\s*image\s*=/,
};
/** Lines that load an initramfs; Xen takes it as a module. */
const INITRAMFS = /^\s*(initrd(16|efi)?|module2?(\s+--\S+)*\s+\S*initr\S*)(\s|$)|(^|\s)initrd\s*=/i;
/**
 * Lines that no kernel is started from directly: they are included by other lines, or files are generated
 * from them.
 */
const SOURCE_LINE = /^\s*(set\s|#)/;

/**
 * Returns a function that tells, by line number, if a command line starts a kernel without an initramfs. Such a
 * kernel knows partitions, not filesystems, so it takes `root=PARTUUID=` and not `root=UUID=`. A source of
 * command lines counts as such if all kernels of the guest do.
 */
export function startsWithoutInitramfs(
  file: BootFile,
  text: string,
  guest: Guest,
): (index: number) => boolean {
  if (file.kind === 'unified') {
    const image = parseSectionPath(file.path)?.image;
    const lacksInitramfs = guest.identity.kernels.some(
      (kernel) => kernel.image === image && kernel.initramfs === null,
    );
    return () => lacksInitramfs;
  }
  const { sources, withoutInitramfs } = readEntries(file, text);
  let all: boolean | undefined;
  return (index) => {
    if (!sources.has(index)) return withoutInitramfs.has(index);
    all ??= allWithoutInitramfs(guest);
    return all;
  };
}

/** Returns the numbers of source lines, and of the lines in entries without an initramfs. */
function readEntries(
  { kind }: BootFile,
  text: string,
): { sources: Set<number>; withoutInitramfs: Set<number> } {
  const begin = ENTRY[kind];
  const sources = new Set<number>();
  const withoutInitramfs = new Set<number>();
  let entry: number[] = [];
  let hasInitramfs = false;
  const end = () => {
    if (!hasInitramfs) for (const index of entry) withoutInitramfs.add(index);
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
  return { sources, withoutInitramfs };
}

/**
 * True if no kernel of the guest has an initramfs. Without any modules, the entries of the boot loaders
 * decide.
 */
function allWithoutInitramfs(guest: Guest): boolean {
  const { kernels } = guest.identity;
  if (kernels.length > 0) return kernels.every(({ initramfs }) => initramfs === null);
  const found = bootFiles(guest.tree).flatMap((file) => {
    if (file.kind !== 'bls' && ENTRY[file.kind] === undefined) return [];
    const text = guest.tree.text(file.path)?.text ?? '';
    const { sources, withoutInitramfs } = readEntries(file, text);
    const inFile: boolean[] = [];
    mapCommandLines(text, file.kind, (args, _line, index) => {
      if (!sources.has(index) && /(^|\s)root=/.test(args)) inFile.push(withoutInitramfs.has(index));
      return args;
    });
    return inFile;
  });
  return found.length > 0 && found.every(Boolean);
}

/** An MBR partition: disk signature and number. */
const MBR_PARTUUID = /^[0-9a-f]{8}-[0-9a-f]{2}$/i;

/**
 * False if the kernel that `line` starts is known to be too old for this PARTUUID: Linux knows those of a GPT
 * since 2.6.37, those of an MBR since 3.8.
 */
export function supportsPartuuid(line: string, partuuid: string, { identity }: Guest): boolean {
  const kernel = identity.kernels.find(({ image }) =>
    line.split(/\s+/).some((word) => word.split('/').at(-1) === image.split('/').at(-1)),
  );
  const [, major = '99', minor = '0', patch = '0'] =
    /^(\d+)\.(\d+)(?:\.(\d+))?/.exec(kernel?.version ?? '') ?? [];
  const version = (Number(major) * 1000 + Number(minor)) * 1000 + Number(patch);
  return version >= (MBR_PARTUUID.test(partuuid) ? 3_008_000 : 2_006_037);
}
