import { posix } from 'node:path';
import { bootFiles } from '../../guest/command-line-files.js';
import { efiDirectories } from '../../guest/esp.js';
import type { GuestTree } from '../../guest/tree.js';
import type { Filesystem } from '../../model/identity.js';
import type { Warning } from '../../model/plan.js';
import type { Operation } from '../../operations/registry.js';
import { mapLines, shortLines } from '../../text/lines.js';
import { putFile, rewriteFile } from '../base/edit.js';
import type { Fixer, Guest } from '../base/fixer.js';

const NAME = 'grub-search';
/** In fix.grub_search: GRUB finds no configuration. */
export const GRUB_CONFIG = 'grub.cfg';
const REASON = 'GRUB looked for it in vain';

export const grubSearch: Fixer = {
  name: NAME,
  whileRunning: false,
  description:
    'With fix.grub_search, the `search` lines of grub.cfg, of what it takes in and of the stub on the ESP that look for one of these UUIDs or labels, which no filesystem has, look for the filesystem instead that has the kernel or the directory that the lines after it name. With `grub.cfg` in the list, a stub that looks for any filesystem that is not there is led in the same way, and GRUB’s directories without a grub.cfg get one that leads to the grub.cfg with the entries.',
  plan(guest) {
    const { grub_search: wanted } = guest.options;
    const repointed = wanted.length === 0 ? [] : repoint(guest, wanted);
    const written = wanted.includes(GRUB_CONFIG) ? writeConfigs(guest) : [];
    const warnings: Warning[] = [...repointed, ...written].flatMap((operation) =>
      'path' in operation
        ? [{ fixer: NAME, code: 'boot.grub-search', message: `${operation.path} leads GRUB elsewhere` }]
        : [],
    );
    return { operations: [...repointed, ...written], warnings };
  },
};

function repoint(guest: Guest, wanted: readonly string[]): Operation[] {
  const { filesystems } = guest.identity;
  const labels = new Set(filesystems.map(({ label }) => label));
  const uuids = new Set(filesystems.map(({ uuid }) => uuid?.toLowerCase()));
  const isLost = (name: string) =>
    name !== GRUB_CONFIG && !labels.has(name) && !uuids.has(name.toLowerCase());
  const uuidOf = finder(guest);
  return bootFiles(guest.tree)
    .filter(({ kind }) => kind === 'grub2')
    .flatMap(({ path }) =>
      rewriteFile(guest.tree, path, { fixer: NAME, reason: REASON }, (text) => {
        const lines = shortLines(text).map(readLine);
        // A configuration without entries only leads to another one.
        const isStub = wanted.includes(GRUB_CONFIG) && !HAS_ENTRIES.test(text);
        return mapLines(text, (line, index) => {
          const name = lines[index]?.search?.find(
            (word) => (wanted.includes(word) || (isStub && UUID.test(word))) && isLost(word),
          );
          const uuid = name === undefined ? null : uuidOf(pathSought(lines, index + 1, name));
          return name === undefined || uuid === null ? line : withUuid(line, name, uuid);
        });
      }),
    );
}

/** What a line of grub.cfg says. */
interface GrubLine {
  /** The words of a search; null for any other line. */
  search: readonly string[] | null;
  /** It begins an entry or a menu. */
  isEntry: boolean;
  /** What it reads from the filesystem that was looked for before. */
  path: string | null;
}

const readLine = (line: string): GrubLine => ({
  search: SEARCH.test(line) ? wordsOf(line) : null,
  isEntry: /^\s*(?:menuentry|submenu)\s/.test(line),
  path: SOUGHT.map((pattern) => pattern.exec(line)?.[1]).find((found) => found !== undefined) ?? null,
});

/** Of a filesystem, FAT's too. */
const UUID = /^(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{4}-[0-9a-f]{4})$/i;
const SEARCH = /^\s*search(?:\.(?:fs_uuid|fs_label|file))?\s/;
const wordsOf = (line: string): string[] => line.trim().split(/\s+/).map(unquoted);
const unquoted = (word: string): string => word.replace(/^(["'])(.*)\1$/, '$2');

/** Returns the line with `uuid` for the UUID or label that it looks for. */
const withUuid = (line: string, name: string, uuid: string): string =>
  line
    .replace(/(\S+)/g, (word) => (unquoted(word) === name ? uuid : word))
    .replace(/(?<=^\s*search)\.(?:fs_label|file)(?=\s)/, '.fs_uuid')
    .replace(/(?<=\s)(?:--label|-l|--file|-f)(?=\s)/, '--fs-uuid');

/** Lines of an entry, more than enough. */
const MAX_LINES = 100;
/** What GRUB reads from the filesystem that it looked for, in the first group. */
const SOUGHT = [
  /^\s*(?:linux(?:16|efi)?|multiboot2?)\s+(?:--\S+\s+)*(\S+)/,
  /^\s*set\s+prefix=["']?\(\$\{?\w{1,32}\}?\)["']?([^\s"']+)/,
  /^\s*(?:configfile|source)\s+["']?\(\$\{?\w{1,32}\}?\)["']?([^\s"']+)/,
];

/** Returns what the lines after a search for `name` read from what it finds; null without such lines. */
function pathSought(lines: readonly GrubLine[], from: number, name: string): string | null {
  for (const { search, isEntry, path } of lines.slice(from, from + MAX_LINES)) {
    // The other branch of an `if` looks for the same.
    if (search === null ? isEntry : !search.includes(name)) return null;
    if (path !== null) return path;
  }
  return null;
}

/**
 * Returns what finds the UUID of the filesystem with a path, from its own root; of the one with the boot files for
 * null, and for a path that is nowhere. Each path is looked for once: entries of a menu read the same kernels.
 */
function finder({ identity, tree }: Guest): (path: string | null) => string | null {
  const mounted = mountedOf(identity.filesystems);
  const ofBoot = holderOf('/boot/grub', mounted)?.uuid ?? null;
  const known = new Map<string | null, string | null>([[null, ofBoot]]);
  return (path) => {
    const found = known.get(path);
    if (found !== undefined) return found;
    const uuid = (known.size > MAX_PATHS ? null : uuidWith(path ?? '', mounted, tree)) ?? ofBoot;
    known.set(path, uuid);
    return uuid;
  };
}

/** A btrfs subvolume stands before the path (`/@/boot`). */
const MAX_STRIPPED = 3;
/** Paths that are looked for, and their parts. A real menu has some tens of kernels. */
const MAX_PATHS = 100;
const MAX_PARTS = 64;

/** Returns the UUID of the mounted filesystem with a file or directory of this path, from its own root. */
function uuidWith(written: string, mounted: readonly Mounted[], tree: GuestTree): string | null {
  const parts = written.split('/').filter((part) => part !== '');
  if (parts.length > MAX_PARTS) return null;
  for (let strip = 0; strip <= MAX_STRIPPED && strip < parts.length; strip++)
    for (const { uuid, mountpoint } of mounted) {
      const real = tree.resolve(posix.join(mountpoint, ...parts.slice(strip)));
      if (real !== null && tree.lstat(real) !== null && holderOf(real, mounted)?.uuid === uuid) return uuid;
    }
  return null;
}

interface Mounted {
  uuid: string;
  mountpoint: string;
}

/** Returns the filesystems with a UUID of their own that are mounted, /boot first. */
function mountedOf(filesystems: readonly Filesystem[]): Mounted[] {
  const times = new Map<string | null, number>();
  for (const { uuid } of filesystems) times.set(uuid, (times.get(uuid) ?? 0) + 1);
  return filesystems
    .flatMap(({ uuid, mountpoint }) =>
      uuid === null || mountpoint === null || !mountpoint.startsWith('/') ? [] : [{ uuid, mountpoint }],
    )
    .filter(({ uuid }) => times.get(uuid) === 1)
    .sort((a, b) => Number(b.mountpoint === '/boot') - Number(a.mountpoint === '/boot'));
}

/** Returns the filesystem that a path is on. */
function holderOf(path: string, mounted: readonly Mounted[]): Mounted | undefined {
  return mounted
    .filter(({ mountpoint }) => mountpoint === '/' || `${path}/`.startsWith(`${mountpoint}/`))
    .sort((a, b) => b.mountpoint.length - a.mountpoint.length)[0];
}

/** A grub.cfg with entries, as opposed to one that leads to another. */
const HAS_ENTRIES = /^[ \t]*(?:menuentry\s|blscfg\b)/m;

/** Writes a grub.cfg where a GRUB looks for one and none is, if there is one with entries elsewhere. */
function writeConfigs(guest: Guest): Operation[] {
  const { tree } = guest;
  const mounted = mountedOf(guest.identity.filesystems);
  const main = bootFiles(tree).find(
    ({ path, kind }) =>
      kind === 'grub2' && path.endsWith('/grub.cfg') && HAS_ENTRIES.test(tree.text(path)?.text ?? ''),
  );
  const holder = main === undefined ? undefined : holderOf(main.path, mounted);
  if (main === undefined || holder === undefined) return [];
  const below = posix.dirname(main.path).slice(holder.mountpoint === '/' ? 0 : holder.mountpoint.length);
  const directory = `${subvolumeAt(holder.mountpoint, guest)}${below}`;
  const content = `search.fs_uuid ${holder.uuid} root\nset prefix=($root)'${directory}'\nconfigfile $prefix/grub.cfg\n`;
  return grubDirectories(guest)
    .filter((path) => !hasConfig(tree, path))
    .map((path) => `${path}/grub.cfg`)
    .flatMap((path) => putFile(tree, path, { fixer: NAME, reason: REASON }, content));
}

/** On an ESP, a name of another case is the same file. A link that leads nowhere counts: it is not written over. */
const hasConfig = (tree: GuestTree, directory: string): boolean =>
  tree.list(directory).some((name) => /^grub\.cfg$/i.test(name));

/** Returns the btrfs subvolume that is mounted there as GRUB names it, from the top (`/@`); otherwise nothing. */
function subvolumeAt(mountpoint: string, { identity }: Guest): string {
  const mount = identity.mounts.find((other) => other.mountpoint === mountpoint);
  const subvolume = /^subvol=\/*(.*)$/.exec(mount?.options ?? '')?.[1] ?? '';
  return subvolume === '' ? '' : `/${subvolume}`;
}

/** Returns the directories in which a GRUB is: on the ESP its program, under /boot its modules. */
function grubDirectories({ tree }: Guest): string[] {
  const vendors = efiDirectories(tree).flatMap((root) => tree.list(root).map((name) => `${root}/${name}`));
  const isProgram = (name: string) => /^grub.*\.efi$/i.test(name);
  const hasModules = (path: string) =>
    tree.list(path).some((platform) => tree.exists(`${path}/${platform}/normal.mod`));
  return [
    ...vendors.filter((path) => tree.list(path).some(isProgram)),
    ...['/boot/grub', '/boot/grub2'].filter(hasModules),
  ];
}
