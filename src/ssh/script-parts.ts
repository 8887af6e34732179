import { posix } from 'node:path';
import { shellWord } from '../text/format.js';
import type { Change } from './changes.js';

/**
 * The directory with a directory for each backup on the host. Not below /var/lib/hyper2kvm, which belongs to
 * the daemon's user where the host has one.
 */
export const BACKUPS = '/var/lib/hyper2kvm-live';

/** Exit codes of our scripts on the host, by what they mean. */
export const EXIT = {
  changed: 41,
  noSpace: 42,
  notWritable: 43,
  unfinished: 45,
  busy: 46,
  backupFailed: 47,
  unproven: 48,
  undone: 49,
  half: 50,
  noBackup: 51,
  notRestored: 52,
} as const;

/**
 * Functions of sh(1) for scripts that compare and copy files. A copy is complete or fails: cp(1) is asked for
 * each attribute by name, because `--preserve=all` ignores those that it cannot copy. FAT has none of them.
 */
export const FUNCTIONS = `
sum() { sha256sum < "$1" | cut -c 1-64; }

# is PATH KIND VALUE: true if a file of this SHA-256, a link to this target, or nothing is there
is() {
  case $2 in
    absent) [ ! -e "$1" ] && [ ! -L "$1" ] ;;
    symlink) [ -L "$1" ] && [ "$(readlink -- "$1")" = "$3" ] ;;
    file) [ -f "$1" ] && [ ! -L "$1" ] && [ "$(sum "$1")" = "$3" ] ;;
    *) false ;;
  esac
}

# attributes PATH: what a copy of a file on this filesystem must keep, for cp --preserve
attributes() {
  case $(stat -f -c %T -- "$1") in
    msdos | vfat | exfat) echo timestamps ;;
    *) if [ -e /sys/fs/selinux/enforce ]; then echo mode,ownership,timestamps,xattr,context
       else echo mode,ownership,timestamps,xattr
       fi ;;
  esac
}

parent() { dirname -- "$1"; }
`;

/** The name of a new file until it is renamed: in the same directory, so on the same filesystem. */
export const temporaryName = (path: string, id: string): string =>
  posix.join(posix.dirname(path), `.${posix.basename(path).slice(0, 180)}.hyper2kvm-${id}`);

/**
 * Returns a function `entries` of sh(1) that calls its argument for each change: number, path, kind and value
 * before, kind and value after, temporary name.
 */
export function entriesFunction(changes: readonly (Change & { number: number })[], id: string): string {
  const lines = changes.map(({ number, path, before, after }) =>
    ['"$1"', number, shellWord(path), ...stateWords(before), ...stateWords(after)]
      .concat(shellWord(temporaryName(path, id)))
      .join(' '),
  );
  return `entries() {\n${lines.map((line) => `  ${line}\n`).join('')}}\n`;
}

function stateWords(state: Change['before'] | Change['after']): string[] {
  if (state.type === 'absent') return ['absent', "''"];
  return state.type === 'file' ? ['file', state.sha256] : ['symlink', shellWord(state.target)];
}
