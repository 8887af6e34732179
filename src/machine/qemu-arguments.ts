import { DEBUG_PORT, type UefiImages } from './architecture.js';
import type { DiskFormat, Machine } from './machine.js';
import { boardArguments, deviceArguments } from './qemu-devices.js';
import { tpmArguments } from './tpm.js';

/** What a boot test adds to the machine. */
export interface BootRun {
  accelerator: 'kvm' | 'tcg';
  /** UEFI: the firmware and a copy of its variables for this boot; null is BIOS. */
  uefi: UefiImages | null;
  /** The socket of the TPM's emulator; without one the machine has no TPM. */
  tpm?: string | undefined;
  /** For each disk of the machine, in order. */
  layers: readonly ThrowAwayLayers[];
}

export interface ThrowAwayLayers {
  /** qcow2, absolute path; takes all writes. */
  overlay: string;
  /** The qcow2 image between it and the machine's disk, or null. */
  evidence: string | null;
}

/** Character devices that the caller reads (see machine/qemu.ts). */
export const SERIAL_CHANNEL = 'serial0';
export const FIRMWARE_CHANNEL = 'firmware0';

/**
 * Returns QEMU's arguments for the boot test of `machine`, on temporary layers over its disks. Nodes and
 * their formats are pinned, nothing is probed, and no backing file name in an image is followed. Pure.
 */
export function qemuArguments(machine: Machine, run: BootRun): string[] {
  const { video, isPc, panicDevice } = machine.architecture;
  return [
    ...boardArguments(machine, run.accelerator, {
      machine: run.uefi === null ? '' : ',pflash0=code,pflash1=variables',
      // Windows then tells QEMU why it stopped.
      cpu: machine.hyperv && run.accelerator === 'kvm' ? ',hv-crash=on' : '',
    }),
    // Keeps QEMU running after a panic or a shutdown, because the last screenshot is still to be taken.
    ...['-action', 'panic=none,shutdown=pause'],
    ...firmware(run),
    ...machine.disks.flatMap((disk, index) => blockdev(diskNode(disk, run.layers[index]!, index))),
    ...machine.nics.flatMap((_mac, index) => ['-netdev', `user,id=net${index},restrict=on`]),
    // The first device gets the slot that libvirt gives it.
    ...['-device', video.qemu],
    ...deviceArguments(machine),
    ...(run.tpm === undefined ? [] : tpmArguments(machine, run.tpm)),
    ...['-serial', `chardev:${SERIAL_CHANNEL}`],
    ...(isPc ? ['-device', `isa-debugcon,iobase=${DEBUG_PORT},chardev=${FIRMWARE_CHANNEL}`] : []),
    ...['-device', panicDevice],
  ];
}

function firmware({ uefi }: BootRun): string[] {
  if (uefi === null) return [];
  return [
    ...blockdev({ 'node-name': 'code', driver: 'raw', 'read-only': true, file: file(uefi.code, true) }),
    ...blockdev({ 'node-name': 'variables', driver: 'raw', file: file(uefi.variables, false) }),
  ];
}

type Node = Record<string, unknown>;

function diskNode(
  disk: Machine['disks'][number],
  { overlay, evidence }: ThrowAwayLayers,
  index: number,
): Node {
  const delivered = layer(disk.file, disk.format, null);
  return {
    'node-name': `disk${index}`,
    driver: 'qcow2',
    // The layer is thrown away, so the guest's flushes need not reach the disk.
    cache: { 'no-flush': true },
    discard: 'unmap',
    file: { ...file(overlay, false), discard: 'unmap' },
    backing: evidence === null ? delivered : layer(evidence, 'qcow2', delivered),
  };
}

function layer(path: string, format: DiskFormat, backing: Node | null): Node {
  return {
    driver: format,
    'read-only': true,
    file: file(path, true),
    ...(format === 'qcow2' || format === 'vmdk' ? { backing } : {}),
  };
}

function blockdev(node: Node): string[] {
  return ['-blockdev', JSON.stringify(node)];
}

function file(filename: string, readOnly: boolean): Node {
  return { driver: 'file', filename, 'read-only': readOnly };
}
