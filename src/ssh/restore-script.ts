import { shellWord } from '../text/format.js';
import type { Change } from './changes.js';
import { EXIT, entriesFunction, FUNCTIONS } from './script-parts.js';

/**
 * Returns the script that puts a backup back, which lies in it and is all that is needed. It can be run again
 * after it was interrupted, and after an apply that was. Pure.
 */
export function restoreScript(changes: readonly Change[], id: string): string {
  const numbered = changes.map((change, number) => ({ ...change, number }));
  const made = [...new Set(changes.flatMap(({ missing }) => missing))].reverse();
  return `#!/bin/sh
# Puts back the ${changes.length} files that "hyper2kvm live" changed on this host (backup ${id}).
# Run it as root:  sh restore
# A file that somebody has changed since stops it before anything is done; with --keep-changed such files stay
# as they are. What the files were is in this directory by number; manifest.json has their names.
set -u
keep=no
case \${1-} in
  '') ;;
  --keep-changed) keep=yes ;;
  *) echo "usage: sh restore [--keep-changed]" >&2; exit 2 ;;
esac
cd -- "$(dirname -- "$0")" || exit 1
umask 077
LC_ALL=C
PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
export LC_ALL PATH
${FUNCTIONS}
${entriesFunction(numbered.toReversed(), id)}
check() {
  is "$2" "$3" "$4" || is "$2" "$5" "$6" || { echo "$2" >&2; changed=yes; }
}

# The old files are copied beside the new ones and read back, all of them before one is replaced.
copy() {
  rm -f -- "$7"
  if ! is "$2" "$5" "$6"; then return; fi
  case $3 in
    file) cp --preserve="$(attributes "$(parent "$2")")" -- "$1" "$7" && is "$7" file "$4" && sync -- "$7" ;;
    symlink) cp -a -- "$1" "$7" && is "$7" symlink "$4" ;;
  esac || { echo "$2 could not be copied back" >&2; failed=yes; }
}

put() {
  if is "$2" "$3" "$4" || ! is "$2" "$5" "$6"; then return; fi
  case $3 in
    absent) rm -f -- "$2" ;;
    *) mv -fT -- "$7" "$2" ;;
  esac && sync -- "$(parent "$2")" || { echo "$2 could not be restored" >&2; failed=yes; return; }
  echo "restored $2"
}

drop() { rm -f -- "$7"; }

changed=no
entries check
if [ "$changed" = yes ] && [ "$keep" = no ]; then
  echo "changed since the backup; nothing was restored" >&2
  exit ${EXIT.changed}
fi
failed=no
trap 'entries drop' EXIT
trap 'exit 143' HUP INT TERM
entries copy
if [ "$failed" = yes ]; then
  echo "nothing was restored" >&2
  exit ${EXIT.notRestored}
fi
entries put
for directory in ${made.map(shellWord).join(' ')}; do
  if [ -d "$directory" ] && [ -z "$(ls -A -- "$directory")" ]; then rmdir -- "$directory" || failed=yes; fi
done
if [ "$failed" = yes ]; then exit ${EXIT.notRestored}; fi
for mark in unfinished done; do
  if [ -e "$mark" ]; then mv -fT -- "$mark" restored && sync -- . || exit ${EXIT.notRestored}; fi
done
`;
}
