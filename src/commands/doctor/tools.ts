import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { isOldNode, LEAST_NODE } from '../../host/node-version.js';
import { findUefi } from '../../machine/firmware.js';
import { probeSandbox } from '../../tools/sandbox.js';
import { qemuVersion } from '../../tools/versions.js';
import { type Check, fail, type HostContext, ok, probe, warn } from './check.js';

/** Programs that are started, with Debian's package; `need`: what does not work without it. */
const PROGRAMS: readonly { name: string; package: string; need: string; optional: boolean }[] = [
  { name: 'setpriv', package: 'util-linux', need: 'every tool is started through it', optional: false },
  { name: 'prlimit', package: 'util-linux', need: 'every tool is limited by it', optional: false },
  { name: 'gzip', package: 'gzip', need: 'drops compressed with gzip', optional: true },
  { name: 'zstd', package: 'zstd', need: 'drops and initramfs files compressed with zstd', optional: true },
  { name: 'xz', package: 'xz-utils', need: 'drops and initramfs files compressed with xz', optional: true },
  { name: 'lz4', package: 'lz4', need: 'initramfs files compressed with lz4', optional: true },
  { name: 'bzip2', package: 'bzip2', need: 'initramfs files compressed with bzip2', optional: true },
  { name: 'lzop', package: 'lzop', need: 'initramfs files compressed with lzo', optional: true },
];

export const checkNode: Check = async () => {
  const version = process.versions.node;
  return [
    isOldNode(version)
      ? fail('node', version, `Install Node ${LEAST_NODE.join('.')} or later.`)
      : ok('node', version),
  ];
};

export const checkQemu: Check = async ({ signal }) =>
  Promise.all([
    probe('qemu-img', 'apt install qemu-utils', () => qemuVersion('qemu-img', signal)),
    probe('qemu-system-x86_64', 'apt install qemu-system-x86', () =>
      qemuVersion('qemu-system-x86_64', signal),
    ),
  ]);

export const checkPrograms: Check = ({ env }) =>
  Promise.all(
    PROGRAMS.map(async (program) => {
      const path = await which(program.name, env);
      if (path !== null) return ok(program.name, path);
      const report = program.optional ? warn : fail;
      return report(program.name, `not found; needed for: ${program.need}`, `apt install ${program.package}`);
    }),
  );

export const checkFirmware: Check = async ({ config }) => {
  const found = await probe('uefi firmware', 'apt install ovmf', async () => (await findUefi()).code);
  if (found.status === 'ok' || config.validate.enabled) return [found];
  return [{ ...found, status: 'warn' }];
};

/** What really confines the tools: said, so that nobody believes in more. */
export const checkSandbox: Check = async () => {
  const always = 'rlimits, own process groups, die with their parent; QEMU also seccomp';
  const { kind, reason } = await probeSandbox();
  if (kind === 'bubblewrap') return [ok('sandbox', `bubblewrap: ${reason}; ${always}`)];
  return [warn('sandbox', `bubblewrap: ${reason}; in force: ${always}`, SANDBOX_FIX)];
};

const SANDBOX_FIX =
  'apt install bubblewrap, and allow user namespaces (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns).';

async function which(name: string, env: HostContext['env']): Promise<string | null> {
  for (const directory of (env.PATH ?? '').split(delimiter)) {
    const path = join(directory, name);
    const found = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (directory !== '' && found) return path;
  }
  return null;
}
