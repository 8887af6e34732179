import { type RunOptions, type RunResult, run } from '#hyper2kvm/tools/run.js';

/**
 * Runs a program as root in mount namespace of its own: as root itself, or as an ordinary user's root over a
 * mapped range of ids (unshare(1) `--map-auto`, which needs the user's lines in /etc/subuid and /etc/subgid).
 * What it mounts goes away with it.
 */
export async function asRoot(
  file: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  const mapping = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user', '--map-auto'];
  return run('unshare', [...mapping, '--mount', '--', file, ...args], options);
}
