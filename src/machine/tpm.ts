import type { Machine } from './machine.js';

/** The program that emulates a TPM for QEMU and libvirt, and Debian's package. */
export const TPM_EMULATOR = { program: 'swtpm', debian: 'swtpm' };

/** Returns the model of the TPM, by the name that QEMU and libvirt share. */
export function tpmModel({ type }: Pick<Machine, 'type'>): 'tpm-crb' | 'tpm-tis' {
  return type === 'pc' ? 'tpm-tis' : 'tpm-crb';
}

/** Returns QEMU's arguments for a TPM whose emulator listens on the socket at `path`. */
export function tpmArguments(machine: Pick<Machine, 'type'>, path: string): string[] {
  return [
    ...['-chardev', `socket,id=tpm,path=${path}`],
    ...['-tpmdev', 'emulator,id=tpm0,chardev=tpm'],
    ...['-device', `${tpmModel(machine)},tpmdev=tpm0`],
  ];
}

/** Returns the arguments of the emulator of a TPM 2.0 with its state in `directory`. */
export function emulatorArguments(directory: string, socket: string): string[] {
  return ['socket', '--tpm2', '--tpmstate', `dir=${directory}`, '--ctrl', `type=unixio,path=${socket}`];
}
