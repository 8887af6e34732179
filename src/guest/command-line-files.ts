import { posix } from 'node:path';
import { mapLines } from '../text/lines.js';
import { espMountpoints } from './esp.js';
import { mapAssignments } from './shell-assignments.js';
import type { GuestTree, TreeEntry } from './tree.js';
import { parseSectionPath } from './unified-image.js';

/**
 * The kinds of files that hold kernel command lines. `grub-defaults`, `grub-script` (/etc/grub.d) and
 * `update-extlinux` are sources from which others are generated.
 */
export type BootFileKind =
  | 'grub2'
  | 'grubenv'
  | 'grub-defaults'
  | 'grub-script'
  | 'bls'
  | 'unified'
  | 'kernel-cmdline'
  | 'grub-legacy'
  | 'extlinux'
  | 'update-extlinux'
  | 'lilo'
  | 'elilo';

export interface BootFile {
  path: string;
  kind: BootFileKind;
}

const bootTrees = (tree: GuestTree): string[] =>
  [...new Set(['/boot', ...espMountpoints(tree)])].map((path) => `${path}/`);
const FIXED: readonly BootFile[] = [
  { path: '/etc/default/grub', kind: 'grub-defaults' },
  { path: '/etc/sysconfig/bootloader', kind: 'grub-defaults' },
  { path: '/etc/kernel/cmdline', kind: 'kernel-cmdline' },
  { path: '/etc/update-extlinux.conf', kind: 'update-extlinux' },
  { path: '/extlinux.conf', kind: 'extlinux' },
  { path: '/etc/lilo.conf', kind: 'lilo' },
  { path: '/etc/elilo.conf', kind: 'elilo' },
];

/**
 * Returns every file of the guest that holds kernel command lines, by real path, sorted. Files of boot
 * loaders are searched for by name everywhere under /boot and /efi, because a separate /boot, a btrfs
 * subvolume or an ESP changes their directory.
 */
export function bootFiles(tree: GuestTree): BootFile[] {
  const found = new Map<string, BootFileKind>();
  for (const { path, kind } of FIXED) {
    const real = tree.resolve(path);
    if (real !== null && tree.text(real) !== null) found.set(real, kind);
  }
  const entries = tree.entries();
  const trees = bootTrees(tree);
  const linked = linkedDirectories(tree, entries, trees);
  for (const { path, type, content } of entries) {
    if (type === 'symlink') {
      const kind = kindByPath(path, trees);
      const real = kind === null ? null : tree.resolve(path);
      if (kind !== null && real !== null && tree.text(real) !== null) found.set(real, kind);
    }
    if (type !== 'file' || content === undefined) continue;
    const names = linked.flatMap(([link, real]) =>
      path.startsWith(`${real}/`) ? [link + path.slice(real.length)] : [],
    );
    const [kind] = [path, ...names].flatMap((name) => kindByPath(name, trees) ?? []);
    if (kind !== undefined) found.set(path, kind);
  }
  return [...found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([path, kind]) => ({ path, kind }));
}

/** Returns the directories of boot files that are links to other places, with their targets. */
function linkedDirectories(
  tree: GuestTree,
  entries: readonly TreeEntry[],
  trees: readonly string[],
): (readonly [link: string, real: string])[] {
  return entries.flatMap(({ path, type }) => {
    if (type !== 'symlink' || !trees.some((prefix) => `${path}/`.startsWith(prefix))) return [];
    const real = tree.resolve(path);
    const isElsewhere = real !== null && !trees.some((prefix) => `${real}/`.startsWith(prefix));
    return isElsewhere && real !== '/' && tree.isDirectory(real) ? [[path, real] as const] : [];
  });
}

function kindByPath(path: string, trees: readonly string[]): BootFileKind | null {
  if (path.startsWith('/etc/default/grub.d/')) return kindOfDefaults(path);
  if (path.startsWith('/etc/grub.d/')) return 'grub-script';
  return trees.some((prefix) => path.startsWith(prefix)) ? kindOf(path) : null;
}

const kindOfDefaults = (path: string): BootFileKind | null =>
  path.endsWith('.cfg') ? 'grub-defaults' : null;

function kindOf(path: string): BootFileKind | null {
  const name = posix.basename(path);
  // grub.cfg takes custom.cfg and others beside it in.
  if (name === 'grub.cfg' || /\/grub2?\/[^/]+\.cfg$/.test(path)) return 'grub2';
  if (name === 'grubenv') return 'grubenv';
  // GRUB legacy for UEFI reads a file of its program's own name (RHEL 6).
  if (name === 'menu.lst' || name === 'grub.conf' || /^boot(x64|ia32)\.conf$/i.test(name))
    return 'grub-legacy';
  if (name === 'elilo.conf') return 'elilo';
  if (name === 'extlinux.conf' || name === 'syslinux.cfg') return 'extlinux';
  if (parseSectionPath(path)?.section === '.cmdline') return 'unified';
  return /\/loader\/entries\/[^/]+\.conf$/.test(path) ? 'bls' : null;
}

/**
 * Returns the patterns of a shell assignment whose value is in double quotes, in single quotes or unquoted.
 */
function quoted(assignment: string): RegExp[] {
  return [
    new RegExp(`^(${assignment}")([^"]*)("\\s*)$`),
    new RegExp(`^(${assignment}')([^']*)('\\s*)$`),
    new RegExp(`^(${assignment})([^"'\\s]*)(\\s*)$`),
  ];
}

const GRUB2: readonly RegExp[] = [
  /^(\s*(?:linux(?:16|efi)?|module2?|multiboot2?)\s+\S+)()$/,
  /^(\s*(?:linux(?:16|efi)?|module2?|multiboot2?)\s+\S+[ \t]+)(.*)$/,
  /^(\s*set\s+(?:default_)?kernelopts=["']?)([^"']*)(["']?\s*)$/,
];

/** For each kind, the lines that hold a command line, as (before)(arguments)(after). */
const PATTERNS: Record<BootFileKind, readonly RegExp[]> = {
  grub2: GRUB2,
  'grub-script': GRUB2,
  grubenv: [/^(kernelopts=)(.*)$/],
  // Read as the shell does it, see below.
  'grub-defaults': [],
  bls: [/^(options[ \t]+)(.*)$/],
  unified: [/^()(.*\S.*)$/],
  'kernel-cmdline': [/^()([^#].*)$/],
  'grub-legacy': [
    /^(\s*(?:kernel|module)\s+(?:--\S+\s+)*\S+[ \t]+)(.*)$/,
    /^(#\s*(?:kopt|defoptions|altoptions|xenkopt)(?:_\w+)?=)(.*)$/,
  ],
  extlinux: [/^(\s*append\s+)(.*)$/i],
  'update-extlinux': [/^()(root=.*)$/, ...quoted('default_kernel_opts=')],
  // LILO has what its file says from the day that it was last run.
  lilo: [],
  elilo: [/^(\s*append\s*=\s*")([^"]*)(".*)$/, /^(\s*)(root=[^\s"]+)(.*)$/],
};

/** grub-editenv(1): the environment block has a fixed size and is padded with `#`. */
const GRUBENV_SIZE = 1024;

/** Variables of /etc/default/grub, and of SUSE's older /etc/sysconfig/bootloader. */
const COMMAND_LINE = /^(GRUB_CMDLINE_LINUX(_[A-Z_]+)?|(DEFAULT|FAILSAFE|XEN_KERNEL)_APPEND)$/;

/** Another variable may hold a part of a command line. */
const ROOT_OPTION = /(?:^|[\s"'])(?:root|resume)=\/dev\//;

function mapShellCommandLines(text: string, change: Change): string {
  return mapAssignments(text, ({ name, start, quote }, value) => {
    if (!COMMAND_LINE.test(name) && !ROOT_OPTION.test(value)) return value;
    const index = text.slice(0, start).split('\n').length - 1;
    const after = change(value, `${name}=`, index);
    return quote === '' && /\s/.test(after) && !/["'\\]/.test(after) ? `"${after}"` : after;
  });
}

type Change = (args: string, line: string, index: number) => string;

/**
 * Applies `change` to the arguments of every kernel command line in `text`, and leaves the rest untouched. It
 * also gets the whole line and its number, counted from 0.
 */
export function mapCommandLines(text: string, kind: BootFileKind, change: Change): string {
  if (kind === 'grub-defaults') return mapShellCommandLines(text, change);
  const changed = mapLines(text, (line, index) => {
    for (const pattern of PATTERNS[kind]) {
      const match = pattern.exec(line);
      if (match === null) continue;
      const [, before = '', args = '', after = ''] = match;
      return `${before}${change(args, line, index)}${after}`;
    }
    return line;
  });
  return kind === 'grubenv' ? sameSize(changed, text) : changed;
}

/** Kinds that the boot loader's own files are generated from: they may differ from what is in use. */
const SOURCES: readonly BootFileKind[] = ['grub-defaults', 'update-extlinux', 'kernel-cmdline'];

/** Returns the arguments that the guest's kernels are started with, one text for each command line. */
export function kernelCommandLines(tree: GuestTree): string[] {
  const found: string[] = [];
  for (const { path, kind } of bootFiles(tree)) {
    if (SOURCES.includes(kind)) continue;
    mapCommandLines(tree.text(path)?.text ?? '', kind, (args) => {
      found.push(args);
      return args;
    });
  }
  return found;
}

function sameSize(changed: string, original: string): string {
  if (changed === original) return original;
  let end = changed.length;
  while (changed[end - 1] === '#') end -= 1;
  return changed.slice(0, end).padEnd(Math.max(GRUBENV_SIZE, original.length), '#');
}

/**
 * True for files whose entries are beside those that the system starts by itself: what they name may be gone for
 * long.
 */
export const isByHand = ({ path, kind }: BootFile): boolean =>
  kind === 'grub-script' || (kind === 'grub2' && posix.basename(path) !== 'grub.cfg');
