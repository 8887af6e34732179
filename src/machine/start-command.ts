import { dirname, join } from 'node:path';
import { shellWord } from '../text/format.js';
import type { UefiImages } from './architecture.js';
import type { Machine } from './machine.js';
import { boardArguments, deviceArguments } from './qemu-devices.js';
import { emulatorArguments, TPM_EMULATOR, tpmArguments } from './tpm.js';

/** The facts about this host that the command depends on. */
export interface StartHost {
  accelerator: 'kvm' | 'tcg';
  /** Null unless the firmware is UEFI. */
  uefi: UefiImages | null;
  /** Whether the emulator of a TPM is installed. */
  hasTpmEmulator?: boolean;
}

/**
 * Returns the shell command that starts `machine` with QEMU alone: its screen is a VNC server on this host,
 * its first serial port the terminal (Ctrl-A X quits), and any user who may read and write the disks can run
 * it. Changes are kept, except for UEFI's variables. A TPM's emulator is started before, where there is one.
 * Pure.
 */
export function startCommand(machine: Machine, host: StartHost): string {
  const qemu = [machine.architecture.qemu.program, ...startArguments(machine, host)];
  const socket = tpmSocket(machine, host);
  if (socket === null) return commandLine(qemu);
  const directory = dirname(socket);
  const emulator = [TPM_EMULATOR.program, ...emulatorArguments(directory, socket), '--daemon', '--terminate'];
  return [['mkdir', '-p', directory], emulator, qemu].map(commandLine).join(' && ');
}

const commandLine = (words: readonly string[]) => words.map(shellWord).join(' ');

/** Longest path of a socket, with its end (Linux, unix(7)). */
const SOCKET_PATH_BYTES = 108;

/** Returns where the TPM's emulator listens, beside its state and the disks; null without an emulator. */
function tpmSocket({ tpm, disks }: Machine, { hasTpmEmulator = false }: StartHost): string | null {
  const socket = join(dirname(disks[0]?.file ?? '/'), 'tpm', 'socket');
  // A comma would end the value in QEMU's list and in the emulator's.
  const isUsable = Buffer.byteLength(socket) < SOCKET_PATH_BYTES && !socket.includes(',');
  return tpm && hasTpmEmulator && isUsable ? socket : null;
}

export function startArguments(machine: Machine, host: StartHost): string[] {
  const { accelerator, uefi } = host;
  const { video, isPc } = machine.architecture;
  const socket = tpmSocket(machine, host);
  return [
    ...boardArguments(machine, accelerator),
    '-nodefaults',
    ...(uefi === null ? [] : firmware(uefi)),
    ...machine.disks.flatMap(({ file, format }, index) => [
      '-drive',
      `if=none,id=disk${index},format=${format},discard=unmap,file=${optionValue(file)}`,
    ]),
    ...machine.nics.flatMap((_mac, index) => ['-netdev', `user,id=net${index}`]),
    ...['-device', video.qemu],
    ...deviceArguments(machine),
    ...(socket === null ? [] : tpmArguments(machine, socket)),
    // Windows has a driver for it only from 8 on.
    ...['-device', machine.isPinned ? 'usb-ehci' : 'qemu-xhci', '-device', 'usb-tablet'],
    ...(isPc ? [] : ['-device', 'usb-kbd']),
    ...['-vnc', '127.0.0.1:0,to=99', '-serial', 'mon:stdio'],
  ];
}

function firmware({ code, variables }: UefiImages): string[] {
  return [
    ...['-drive', `if=pflash,format=raw,unit=0,readonly=on,file=${optionValue(code)}`],
    // In a temporary file of QEMU, because the pristine variables belong to the host.
    ...['-drive', `if=pflash,format=raw,unit=1,snapshot=on,file=${optionValue(variables)}`],
  ];
}

/** In QEMU's option lists a comma ends a value, and two commas stand for one. */
function optionValue(text: string): string {
  return text.replaceAll(',', ',,');
}
