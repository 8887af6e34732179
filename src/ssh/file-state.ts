import { posix } from 'node:path';
import { Hyper2kvmError } from '../errors/error.js';
import { shellWord } from '../text/format.js';
import type { FileState } from './changes.js';
import { type RemoteShell, refusedBy } from './shell.js';

/** A path of the host, looked at once. */
export interface Located {
  path: string;
  state: FileState | { type: 'other' };
  missing: string[];
  device: number;
  names: number;
}

/**
 * Looks at a path. Links in its directories are followed; `follow`: one at its end, too. Nothing is changed.
 */
export async function locate(
  shell: Pick<RemoteShell, 'run'>,
  path: string,
  { follow }: { follow: boolean },
): Promise<Located> {
  const find = follow
    ? `f=$(readlink -m -- ${shellWord(path)}) || exit 1`
    : `d=$(readlink -m -- ${shellWord(posix.dirname(path))}) || exit 1; f="\${d%/}/"${shellWord(posix.basename(path))}`;
  const result = await shell.run(`${find}\n${SCRIPT}`);
  if (result.code !== 0) throw refusedBy(result);
  const [real = '', directory = '', device = '', type = '', ...facts] = result.stdout
    .toString('utf8')
    .split('\0');
  if (!real.startsWith('/') || !`${real}/`.startsWith(`${directory}/`)) throw notUnderstood(path);
  return {
    path: real,
    ...(type === 'file' ? fileAt(path, facts) : { state: otherAt(type, facts), names: 1 }),
    missing: between(directory, real),
    device: Number(device),
  };
}

const SCRIPT = `
x=\${f%/*}
while [ -n "$x" ] && [ ! -d "$x" ]; do x=\${x%/*}; done
printf '%s\\0%s\\0%s\\0' "$f" "$x" "$(stat -c %d -- "\${x:-/}")"
if [ -L "$f" ]; then printf 'symlink\\0'; readlink -n -- "$f"; printf '\\0'
elif [ -f "$f" ]; then
  sum=$(sha256sum < "$f") && facts=$(stat -c '%s %a %u %g %h' -- "$f") || exit 1
  printf 'file\\0%s\\0%s\\0' "\${sum%% *}" "$facts"
elif [ -e "$f" ]; then printf 'other\\0'
else printf 'absent\\0'
fi
`;

function otherAt(type: string, [target = '']: readonly string[]): Located['state'] {
  if (type === 'symlink') return { type, target };
  return { type: type === 'absent' ? type : 'other' };
}

function fileAt(path: string, [sum = '', facts = '']: readonly string[]): Pick<Located, 'state' | 'names'> {
  const [size = '', mode = '', uid = '', gid = '', names = ''] = facts.trim().split(' ');
  if (![size, mode, uid, gid, names].every((number) => /^\d{1,15}$/.test(number))) throw notUnderstood(path);
  const state = {
    type: 'file',
    sha256: sha256In(sum, path),
    size: Number(size),
    mode: Number.parseInt(mode, 8),
    uid: Number(uid),
    gid: Number(gid),
  } as const;
  return { state, names: Number(names) };
}

/** Returns the digest that sha256sum printed for a path. It becomes part of scripts, so nothing else may. */
export function sha256In(text: string, path: string): string {
  const [digest] = /^[0-9a-f]{64}(?![0-9a-f])/.exec(text) ?? [];
  if (digest === undefined) throw notUnderstood(path);
  return digest;
}

const notUnderstood = (path: string) =>
  new Hyper2kvmError('guest.call-failed', `the host’s answer about ${path} is not understood`);

/** Returns the directories between an existing one and the path, the outermost first. */
function between(directory: string, path: string): string[] {
  const parents: string[] = [];
  for (let at = posix.dirname(path); at !== directory && at !== '/'; at = posix.dirname(at))
    parents.unshift(at);
  return parents;
}
