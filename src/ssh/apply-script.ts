import { shellWord } from '../text/format.js';
import type { Change } from './changes.js';
import { EXIT, entriesFunction, FUNCTIONS, temporaryName } from './script-parts.js';

/** A file of the backup that is sent beside the new contents. */
interface BackupFiles {
  manifest: Buffer;
  restore: Buffer;
}

/** A filesystem that the changes need room on. */
export interface Room {
  directory: string;
  bytes: number;
}

/**
 * Returns the script that applies `changes` on the host, and its input. One script does everything there, so a
 * connection that is cut does not stop it in the middle: what it needs arrives before the first file is
 * replaced, and then it runs to its end. Pure.
 *
 * It checks all files, makes the backup, writes every new file beside the old one and reads it back. Only then
 * are they renamed, one after the other, each after another look at what it replaces. A failure undoes what was
 * done, and until the renames nothing but new names was added.
 */
export function applyScript(
  changes: readonly Change[],
  { base, id, rooms, files }: { base: string; id: string; rooms: readonly Room[]; files: BackupFiles },
): { script: string; input: Buffer } {
  const numbered = changes.map((change, number) => ({ ...change, number }));
  const made = [...new Set(changes.flatMap(({ missing }) => missing))];
  const sent = changes.flatMap(({ after }) =>
    after.type === 'file' && after.content.kind !== 'copy' ? [after.content.bytes] : [],
  );
  const script = `${FUNCTIONS}
${entriesFunction(numbered, id)}
base=${shellWord(base)}
backup=$base/${id}
made_base=no
stage=begin
fail() { code=$1; shift; printf '%s\\n' "$*" >&2; exit "$code"; }

finish() {
  code=$?
  trap - EXIT
  if [ "$stage" = prepare ]; then
    entries drop
    for directory in ${made.toReversed().map(shellWord).join(' ')}; do
      if [ -d "$directory" ] && [ -z "$(ls -A -- "$directory")" ]; then rmdir -- "$directory"; fi
    done
    rm -f -- "$backup/manifest.json" "$backup/restore.part" "$backup/restore"
    rm -f -- "$backup/unfinished" "$backup/done" "$backup/restored"
    rmdir -- "$backup"
  fi
  if [ "$made_base" = yes ] && [ -z "$(ls -A -- "$base")" ]; then rmdir -- "$base"; fi
  exit "$code"
}
drop() { rm -f -- "$7" "$backup/$1"; }
# In a shell of its own: dash ends when a redirection of ":" fails.
create() { (set -C; : > "$1") || fail ${EXIT.notWritable} "$1"; }

# A connection that is cut must not stop this, nor what undoes it.
trap '' HUP PIPE
trap 'exit 143' TERM INT

if is "$base" absent ''; then mkdir -m 700 -- "$base" && made_base=yes; fi
[ -d "$base" ] && [ ! -L "$base" ] && [ "$(stat -c '%a %u' -- "$base")" = '700 0' ] ||
  fail ${EXIT.notWritable} "$base is not a directory that only root may enter"
exec 9< "$base" && flock -n 9 || fail ${EXIT.busy} "another run is changing this host"
for other in "$base"/*/; do
  if [ -d "$other" ] && [ ! -e "\${other}done" ] && [ ! -e "\${other}restored" ]; then
    fail ${EXIT.unfinished} "$(basename -- "$other")"
  fi
done
trap finish EXIT
mkdir -m 700 -- "$backup" || fail ${EXIT.notWritable} "$backup"
stage=prepare
# Renamed to "done" at the end, and to "restored" by a rollback, so that no disk is too full for either.
create "$backup/unfinished"

check() {
  is "$2" "$3" "$4" || fail ${EXIT.changed} "$2"
  # Refused for a file that is immutable, and on a filesystem that is read-only.
  if [ "$3" = file ]; then touch -c -r "$2" -- "$2" || fail ${EXIT.notWritable} "$2"; fi
}
entries check

room() {
  set -- "$1" "$2" "$(stat -f -c %a -- "$1")" "$(stat -f -c %S -- "$1")"
  [ "$3" -ge $((($2 + $4 - 1) / $4)) ] || fail ${EXIT.noSpace} "$1 has not the $2 bytes that are needed"
}
${rooms.map(({ directory, bytes }) => `room ${shellWord(directory)} ${bytes}\n`).join('')}
save() {
  case $3 in
    file) cp --preserve="$(attributes "$2")" -- "$2" "$backup/$1" && is "$backup/$1" file "$4" &&
      sync -- "$backup/$1" || fail ${EXIT.backupFailed} "$2" ;;
    symlink) cp -a -- "$2" "$backup/$1" && is "$backup/$1" symlink "$4" || fail ${EXIT.backupFailed} "$2" ;;
  esac
}
entries save
head -c ${files.manifest.length} > "$backup/manifest.json" && head -c ${files.restore.length} > "$backup/restore.part" &&
  [ "$(stat -c %s -- "$backup/restore.part")" = ${files.restore.length} ] &&
  sync -- "$backup/manifest.json" "$backup/restore.part" "$backup/unfinished" && mv -fT -- "$backup/restore.part" "$backup/restore" &&
  sync -- "$backup" "$base" "$(parent "$base")" || fail ${EXIT.backupFailed} "$backup"

# proven PATH TEMPORARY SHA256
proven() { sync -- "$2" && is "$2" file "$3" || fail ${EXIT.unproven} "$1"; }
keep() {
  kept=$(attributes "$1" | sed 's/timestamps,//')
  if [ "$kept" = timestamps ]; then return; fi
  cp --attributes-only --preserve="$kept" -- "$1" "$2" || fail ${EXIT.backupFailed} "$1"
}
own() {
  if [ "$(attributes "$(parent "$1")")" = timestamps ]; then return; fi
  chown 0:0 -- "$1" && chmod "$2" -- "$1" || fail ${EXIT.notWritable} "$1"
}
${made.map((path) => `mkdir -m 755 -- ${shellWord(path)} && sync -- "$(parent ${shellWord(path)})" || fail ${EXIT.notWritable} ${shellWord(path)}\n`).join('')}
${changes.map((change) => stageLines(change, id)).join('')}
# Nothing stops it from here on.
trap '' HUP PIPE TERM INT
stage=commit
undo() {
  if sh "$backup/restore" --keep-changed > /dev/null; then stage=prepare; fail "$@"; fi
  fail ${EXIT.half} "$2"
}
replace() {
  is "$2" "$3" "$4" || undo ${EXIT.changed} "$2"
  case $5 in
    absent) rm -f -- "$2" "$7" ;;
    *) mv -fT -- "$7" "$2" ;;
  esac && sync -- "$(parent "$2")" || undo ${EXIT.undone} "$2"
}
entries replace
mv -fT -- "$backup/unfinished" "$backup/done" && sync -- "$backup" || undo ${EXIT.undone} "$backup"
stage=done
`;
  return { script, input: Buffer.concat([files.manifest, files.restore, ...sent]) };
}

/** Writes a new file beside the old one, with its attributes, and reads it back. */
function stageLines({ path, before, after }: Change, id: string): string {
  const [target, temporary] = [shellWord(path), shellWord(temporaryName(path, id))];
  if (after.type === 'symlink')
    return `ln -s -- ${shellWord(after.target)} ${temporary} || fail ${EXIT.notWritable} ${target}\n`;
  // A file to be removed gets one too, which shows that its directory can be written to.
  if (after.type === 'absent') return `create ${temporary}\n`;
  const { content, sha256, mode } = after;
  const source = {
    bytes: () => `head -c ${after.size}`,
    appended: () => `{ cat -- ${target} && head -c ${content.kind === 'copy' ? 0 : content.bytes.length}; }`,
    copy: () => `cat -- ${shellWord(content.kind === 'copy' ? content.from : '')}`,
  }[content.kind]();
  const attributes =
    before.type === 'file' ? `keep ${target} ${temporary}` : `own ${temporary} ${mode.toString(8)}`;
  return [
    `create ${temporary}`,
    `${source} > ${temporary} || fail ${EXIT.unproven} ${target}`,
    attributes,
    `proven ${target} ${temporary} ${sha256}\n`,
  ].join('\n');
}
