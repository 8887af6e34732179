import { isOldNode, LEAST_NODE } from '../../host/node-version.js';
import { isNative } from '../../machine/accelerator.js';
import { ARCHITECTURES, type Architecture } from '../../machine/architecture.js';
import { findUefi } from '../../machine/firmware.js';
import { TPM_EMULATOR } from '../../machine/tpm.js';
import { findProgram } from '../../tools/find-program.js';
import { PICTURE_READER } from '../../tools/read-picture.js';
import { probeSandbox, type SandboxState } from '../../tools/sandbox.js';
import { qemuVersion } from '../../tools/versions.js';
import { type Check, type Finding, fail, ok, probe, warn } from './check.js';

/** The programs that are started, with Debian's package. `need` is what does not work without the program. */
const PROGRAMS: readonly { name: string; package: string; need: string; optional: boolean }[] = [
  { name: 'setpriv', package: 'util-linux', need: 'every tool is started through it', optional: false },
  { name: 'prlimit', package: 'util-linux', need: 'every tool is limited by it', optional: false },
  { name: 'gzip', package: 'gzip', need: 'drops compressed with gzip', optional: true },
  { name: 'zstd', package: 'zstd', need: 'drops and initramfs files compressed with zstd', optional: true },
  { name: 'xz', package: 'xz-utils', need: 'drops and initramfs files compressed with xz', optional: true },
  { name: 'lz4', package: 'lz4', need: 'initramfs files compressed with lz4', optional: true },
  { name: 'bzip2', package: 'bzip2', need: 'initramfs files compressed with bzip2', optional: true },
  {
    name: TPM_EMULATOR.program,
    package: TPM_EMULATOR.debian,
    need: 'the TPM of Windows 11, in the boot test and in libvirt',
    optional: true,
  },
  {
    name: PICTURE_READER.program,
    package: PICTURE_READER.debian,
    need: 'stop codes on the screens of Windows, in the boot test',
    optional: true,
  },
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
    ...Object.values(ARCHITECTURES).map((architecture) => emulatorFinding(architecture, signal)),
  ]);

/** An emulator of an architecture other than the host's is only needed for guests of that architecture. */
async function emulatorFinding(architecture: Architecture, signal: AbortSignal): Promise<Finding> {
  const { program, debian } = architecture.qemu;
  if (!isNative(architecture) && (await findProgram(program)) === null)
    return ok(
      program,
      `not installed; only the boot test of ${architecture.name} guests needs it (${debian})`,
    );
  return probe(program, `apt install ${debian}`, () => qemuVersion(program, signal));
}

export const checkPrograms: Check = ({ env }) =>
  Promise.all(
    PROGRAMS.map(async (program) => {
      const path = await findProgram(program.name, env.PATH ?? '');
      if (path !== null) return ok(program.name, path);
      const report = program.optional ? warn : fail;
      return report(program.name, `not found; needed for: ${program.need}`, `apt install ${program.package}`);
    }),
  );

export const checkFirmware: Check = ({ config }) =>
  Promise.all(
    Object.values(ARCHITECTURES).map((architecture) =>
      firmwareFinding(architecture, config.validate.enabled),
    ),
  );

async function firmwareFinding(architecture: Architecture, isNeeded: boolean): Promise<Finding> {
  const name = isNative(architecture) ? 'uefi firmware' : `uefi, ${architecture.name}`;
  const { debian } = architecture.uefi;
  const found = await findUefi(architecture);
  if (found !== undefined) return ok(name, found.code);
  if (!isNative(architecture))
    return ok(name, `not installed; only the boot test of ${architecture.name} guests needs it (${debian})`);
  return (isNeeded ? fail : warn)(name, 'not found', `apt install ${debian}`);
}

/** Reports what really confines the tools. */
export const checkSandbox: Check = async () => {
  const always = 'rlimits, own process groups, killed with their parent; QEMU also seccomp';
  const { kind, obstacle, reason } = await probeSandbox();
  if (kind === 'bubblewrap') return [ok('sandbox', `bubblewrap: ${reason}; ${always}`)];
  return [warn('sandbox', `bubblewrap: ${reason}; in force: ${always}`, sandboxFix(obstacle))];
};

export function sandboxFix(obstacle: SandboxState['obstacle']): string {
  if (obstacle === 'missing') return 'apt install bubblewrap';
  return 'Allow user namespaces (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns).';
}
