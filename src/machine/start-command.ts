import { shellWord } from '../text/format.js';
import type { UefiImages } from './architecture.js';
import type { Machine } from './machine.js';
import { boardArguments, deviceArguments } from './qemu-devices.js';

/** The facts about this host that the command depends on. */
export interface StartHost {
  accelerator: 'kvm' | 'tcg';
  /** Null unless the firmware is UEFI. */
  uefi: UefiImages | null;
}

/**
 * Returns the shell command that starts `machine` with QEMU alone: its screen is a VNC server on this host,
 * its first serial port the terminal (Ctrl-A X quits), and any user who may read and write the disks can run
 * it. Changes are kept, except for UEFI's variables. Pure.
 */
export function startCommand(machine: Machine, host: StartHost): string {
  return [machine.architecture.qemu.program, ...startArguments(machine, host)].map(shellWord).join(' ');
}

export function startArguments(machine: Machine, { accelerator, uefi }: StartHost): string[] {
  const { video, isPc } = machine.architecture;
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
    ...['-device', 'qemu-xhci', '-device', 'usb-tablet'],
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
