import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '#hyper2kvm/tools/run.js';
import { bootDirectory, bootPartition, grubConfig } from './boot-loaders.ts';
import type { BuiltGuest } from './guest.ts';

/** What `h2k-lab-report.service` prints: the state of the guest as the guest sees it. */
export interface LabReport {
  lab: 1;
  /** `ens192=10.0.2.15/24` */
  addresses: string[];
  /** Mount points of fstab that are mounted. */
  mounts: string[];
  swaps: string[];
  /** Names of failed units. */
  failed: string[];
  kernel: string;
  /** MAC address of the interface that the recipe configures; only of guests with several NICs. */
  mac?: string;
  /** The guest's public SSH host key; only of guests with cloud-init. */
  ssh_host_key?: string;
}

/**
 * `vmware`: PVSCSI at 0000:03:00.0 and vmxnet3 at 0000:0b:00.0, as on ESXi. `sata`: AHCI and vmxnet3. `virtio`:
 * virtio-blk and virtio-net, which drivers from before virtio 1.0 find, too; `virtio-modern`: they do not.
 */
export type LabHardware = 'vmware' | 'sata' | 'virtio' | 'virtio-modern';

export interface BootRequest {
  /** Disks in order; each gets a throw-away overlay. */
  disks: readonly { file: string; format: 'raw' | 'qcow2' | 'vmdk' }[];
  hardware: LabHardware;
  firmware: 'bios' | 'uefi';
  /** The NICs in the order of their slots. The first is on 10.0.2.0/24, the next on 10.0.3.0/24, and so on. */
  macs: readonly string[];
  /** Starts this kernel instead of the firmware's loader: OVMF has no PVSCSI driver. */
  direct?: { kernel: string; initrd: string; append: string };
  /** The boot is over when the serial console matches one of these. */
  until: readonly RegExp[];
  /** Default 600. */
  timeoutSeconds?: number;
  signal?: AbortSignal;
}

export interface BootEnd {
  /** Everything the guest wrote on its first serial port. */
  serial: string;
  /** The expression that matched; undefined when time ran out or QEMU ended. */
  matched: RegExp | undefined;
  seconds: number;
}

/** Where Debian's initramfs ends when the root device does not appear. */
export const INITRAMFS_SHELL = /\(initramfs\)/;
export const LAB_REPORT = /^\{"lab":1.*\}/m;

/**
 * Boots in QEMU without hardware virtualization, so that it runs anywhere, until the console says so. Images
 * stay unchanged.
 */
export async function bootGuest(request: BootRequest): Promise<BootEnd> {
  const directory = await mkdtemp(join(tmpdir(), 'h2k-lab-boot-'));
  const seen = new AbortController();
  const over = AbortSignal.any([seen.signal, AbortSignal.timeout((request.timeoutSeconds ?? 600) * 1000)]);
  const signal = request.signal === undefined ? over : AbortSignal.any([over, request.signal]);
  const started = performance.now();
  let serial = '';
  let matched: RegExp | undefined;
  try {
    const args = await commandLine(request, directory);
    await run('qemu-system-x86_64', args, {
      signal,
      // `over` ends it; this only bounds the end.
      timeoutSeconds: (request.timeoutSeconds ?? 600) + 60,
      onStdout(chunk) {
        serial += chunk.toString('latin1');
        matched = request.until.find((expression) => expression.test(serial));
        if (matched !== undefined) seen.abort();
      },
    });
  } catch (error) {
    request.signal?.throwIfAborted();
    if (!over.aborted) throw error;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
  return { serial, matched, seconds: (performance.now() - started) / 1000 };
}

/** The lab report in the console's text; throws where there is none. */
export function labReport(serial: string): LabReport {
  const line = LAB_REPORT.exec(serial)?.[0];
  if (line === undefined) throw new Error(`no lab report on the console:\n${serial.slice(-2000)}`);
  return JSON.parse(line) as LabReport;
}

/**
 * A copy of the guest's boot disk, `grub.raw` in `directory`, with `options` behind its kernel's command
 * line.
 */
export async function copyWithKernelOptions(
  guest: BuiltGuest,
  directory: string,
  options: string,
): Promise<string> {
  const boot = bootPartition(guest.recipe);
  const copy = join(directory, 'grub.raw');
  await mkdir(directory, { recursive: true });
  await run('cp', ['--sparse=always', '--reflink=auto', guest.image, copy]);
  const config = join(directory, 'grub.cfg');
  await writeFile(config, grubConfig(guest.recipe, guest.kernelVersion, options));
  const path = `${bootDirectory(guest.recipe)}/grub/grub.cfg`;
  const input = `rm ${path}\nwrite ${config} ${path}\n`;
  await run('debugfs', ['-w', '-f', '-', `${copy}?offset=${boot.offset}`], { input });
  await rm(config);
  return copy;
}

const MODERN = 'disable-legacy=on,disable-modern=off';
const DISK_DEVICES: Record<LabHardware, (index: number) => string> = {
  vmware: (index) => `scsi-hd,bus=pvscsi.0,scsi-id=${index}`,
  sata: (index) => `ide-hd,bus=ide.${index}`,
  virtio: () => 'virtio-blk-pci',
  'virtio-modern': () => `virtio-blk-pci,${MODERN}`,
};
const NIC_DEVICES: Record<LabHardware, string> = {
  vmware: 'vmxnet3,bus=port11',
  sata: 'vmxnet3',
  virtio: 'virtio-net-pci',
  'virtio-modern': `virtio-net-pci,${MODERN}`,
};

async function commandLine(request: BootRequest, directory: string): Promise<string[]> {
  const disks: string[] = [];
  for (const [index, { file, format }] of request.disks.entries()) {
    const overlay = join(directory, `overlay${index}.qcow2`);
    await run('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', file, '-F', format, overlay]);
    // QEMU itself takes the first place for a kernel that it loads.
    const order = request.direct === undefined ? `,bootindex=${index}` : '';
    disks.push(
      '-drive',
      `if=none,id=disk${index},format=qcow2,cache=unsafe,discard=unmap,file=${overlay}`,
      '-device',
      `${DISK_DEVICES[request.hardware](index)},drive=disk${index}${order}`,
    );
  }
  // As in the product: emulation is slow at what kernels do on a CPU with `erms`.
  const cpu = ['-cpu', 'max,erms=off', '-smp', '1', '-m', '1024'];
  return [
    ...['-machine', 'q35', '-accel', 'tcg,thread=multi', ...cpu],
    ...['-nodefaults', '-display', 'none', '-vga', 'std', '-serial', 'stdio', '-no-reboot'],
    ...(request.firmware === 'uefi' ? await firmwareOf(directory) : []),
    ...(request.hardware === 'vmware' ? VMWARE_BUSES : []),
    ...disks,
    ...request.macs.flatMap((mac, index) => [
      ...['-netdev', `user,id=net${index},restrict=on,net=10.0.${2 + index}.0/24`],
      ...['-device', `${NIC_DEVICES[request.hardware]},netdev=net${index},mac=${mac}`],
    ]),
    ...(request.direct === undefined
      ? []
      : [
          '-kernel',
          request.direct.kernel,
          '-initrd',
          request.direct.initrd,
          '-append',
          request.direct.append,
        ]),
  ];
}

/**
 * Buses are numbered in the order of the ports: the third is 0000:03 and the eleventh 0000:0b, as on ESXi.
 */
const VMWARE_BUSES = [
  ...Array.from({ length: 11 }, (_, index) => {
    const address = `${2 + Math.floor(index / 8)}.${index % 8}`;
    const multifunction = index % 8 === 0 ? ',multifunction=on' : '';
    return [
      '-device',
      `pcie-root-port,id=port${index + 1},chassis=${index + 1},hotplug=off,addr=${address}${multifunction}`,
    ];
  }).flat(),
  '-device',
  'pvscsi,id=pvscsi,bus=port3',
];

async function firmwareOf(directory: string): Promise<string[]> {
  const variables = join(directory, 'OVMF_VARS.fd');
  await copyFile('/usr/share/OVMF/OVMF_VARS_4M.fd', variables);
  return [
    ...['-drive', 'if=pflash,format=raw,unit=0,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd'],
    ...['-drive', `if=pflash,format=raw,unit=1,file=${variables}`],
  ];
}
