import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Config } from '../../config/schema.js';
import { exists } from '../../files/exists.js';
import { freeBytes } from '../../files/space.js';
import { findUser } from '../../host/users.js';
import { formatBytes } from '../../text/format.js';
import { type Check, type Finding, fail, ok, warn } from './check.js';

/** Less free space than this on the work filesystem is hardly enough for a VM. */
const LEAST_FREE_BYTES = 10 * 1024 ** 3;
const DAEMON_USER = 'hyper2kvm';

/** Returns the directories that the daemon writes to, with the option that names each. */
function directoriesOf({ spool, state, control }: Config): [string, string][] {
  return [
    ['spool.incoming', spool.incoming],
    ['spool.work', spool.work],
    ['spool.archive', spool.archive],
    ['spool.failed', spool.failed],
    ['state.database', dirname(state.database)],
    ['control.socket', dirname(control.socket)],
  ];
}

export const checkDirectories: Check = async ({ config }) => {
  const daemonUid = (await findUser(DAEMON_USER))?.uid ?? null;
  return Promise.all(directoriesOf(config).map(([name, path]) => checkDirectory(name, path, daemonUid)));
};

/** `daemonUid` is that of the user hyper2kvm, null if there is none. */
export async function checkDirectory(name: string, path: string, daemonUid: number | null): Promise<Finding> {
  const existing = await nearestExisting(path);
  const writable = await access(existing, constants.R_OK | constants.W_OK | constants.X_OK).then(
    () => true,
    () => false,
  );
  const uid = process.getuid?.() ?? 0;
  if (existing !== path) {
    if (writable) return ok(name, `${path}: created by the daemon when it starts`);
    return fail(
      name,
      `${path} is missing and cannot be created by user ${uid}`,
      'systemd-tmpfiles --create hyper2kvm.conf',
    );
  }
  const facts = await stat(path);
  if (!facts.isDirectory()) return fail(name, `${path} is not a directory`, `rm ${path} && mkdir ${path}`);
  const owner = `owner ${facts.uid}, mode ${(facts.mode & 0o7777).toString(8)}`;
  if (!writable)
    return fail(name, `${path} is not writable by user ${uid} (${owner})`, `chown ${uid} ${path}`);
  // Root may write everywhere, so the daemon's user is checked instead.
  if (uid === 0 && daemonUid !== null && facts.uid !== daemonUid && (facts.mode & 0o002) === 0)
    return warn(
      name,
      `${path} does not belong to ${DAEMON_USER} (${owner})`,
      `chown ${DAEMON_USER}: ${path}`,
    );
  return ok(name, `${path} (${owner})`);
}

export const checkSpace: Check = async ({ config }) => {
  const { spool } = config;
  const [incoming, work, archive, failed] = await Promise.all(
    [spool.incoming, spool.work, spool.archive, spool.failed].map(async (path) => {
      const existing = await nearestExisting(path);
      return { dev: (await stat(existing)).dev, free: await freeBytes(existing) };
    }),
  );
  const space =
    work!.free < LEAST_FREE_BYTES
      ? warn(
          'free space',
          `${formatBytes(work!.free)} under ${spool.work}`,
          'Free some space, or set spool.work to a larger filesystem.',
        )
      : ok('free space', `${formatBytes(work!.free)} under ${spool.work}`);
  const apart = [
    ...(incoming!.dev === work!.dev ? [] : ['incoming']),
    ...(archive!.dev === work!.dev ? [] : ['archive']),
    ...(failed!.dev === work!.dev ? [] : ['failed']),
  ];
  const one =
    apart.length === 0
      ? ok('one filesystem', 'incoming, work, archive and failed: moved by rename')
      : warn(
          'one filesystem',
          `${apart.join(', ')} on a filesystem other than work: copied`,
          'Put spool.incoming, work, archive and failed on one filesystem.',
        );
  return [space, one];
};

async function nearestExisting(path: string): Promise<string> {
  for (let here = path; ; here = dirname(here)) {
    // What is behind a directory that this user may not enter is unknown; that directory is the finding then.
    if (here === dirname(here) || (await exists(here).catch(() => false))) return here;
  }
}
