import type { UefiImages } from '../../machine/architecture.js';
import { findUefi } from '../../machine/firmware.js';
import type { Machine } from '../../machine/machine.js';
import { findProgram } from '../../tools/find-program.js';
import type { Failure } from './other-failures.js';

/** `uefi` is null for a machine with a BIOS. */
export type Emulator = { failure: null; uefi: UefiImages | null } | { failure: Failure };

/** Returns the emulator for `machine` on this host, or a failure if QEMU or the firmware is not installed. */
export async function findEmulator(
  machine: Pick<Machine, 'architecture' | 'firmware'> & Partial<Pick<Machine, 'secureBoot'>>,
): Promise<Emulator> {
  const { architecture } = machine;
  const { program, debian } = architecture.qemu;
  if ((await findProgram(program)) === null) {
    const packages = machine.firmware === 'uefi' ? `${debian} ${architecture.uefi.debian}` : debian;
    return failed(
      'no-emulator',
      `The boot was not tested: ${program} is not installed.`,
      `apt install ${packages}`,
    );
  }
  if (machine.firmware === 'bios') return { failure: null, uefi: null };
  const uefi = await findUefi(architecture, { secureBoot: machine.secureBoot === true });
  if (uefi !== undefined) return { failure: null, uefi };
  const name = `UEFI firmware for ${architecture.name}${machine.secureBoot ? ' with Secure Boot' : ''}`;
  const { debian: deb, fedora } = architecture.uefi;
  return failed(
    'no-uefi-firmware',
    `The boot was not tested: ${name} is not installed.`,
    `Debian: apt install ${deb}; Fedora: dnf install ${fedora}`,
  );
}

function failed(signature: string, meaning: string, command: string): Emulator {
  const advice = `Install it (${command}) and retry the job; or set validate.required = false to deliver the VM without a boot test.`;
  return { failure: { signature, meaning, advice } };
}
