import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { UefiImages } from '../../../src/machine/architecture.js';
import { libvirtDomain } from '../../../src/machine/libvirt-domain.js';
import type { Machine } from '../../../src/machine/machine.js';
import { qemuArguments } from '../../../src/machine/qemu-arguments.js';
import { startArguments } from '../../../src/machine/start-command.js';
import { markupText } from '../../../src/text/escape-markup.js';
import { anyMachine } from './machines.js';

/** What a guest sees of a machine, as one of the renderers says it. */
interface Seen {
  architecture: string;
  board: string;
  gic: string | null;
  firmware: 'bios' | 'uefi';
  memoryMib: number;
  vcpus: number;
  clock: string;
  video: string;
  /** In order; the first is started from. */
  disks: { file: string; format: string; bus: string; isTransitional: boolean; sectors: string }[];
  nics: { model: string; mac: string | null; isTransitional: boolean }[];
  rng: 'none' | 'modern' | 'transitional';
}

const UEFI: UefiImages = { code: '/f/CODE.fd', variables: '/f/VARS.fd' };
const VIDEO: Record<string, string> = { VGA: 'vga', 'virtio-gpu-pci': 'virtio' };

function values(args: readonly string[], option: string): string[] {
  return args.flatMap((arg, index) => (arg === option ? [args[index + 1] ?? ''] : []));
}

function isTransitional(device: string): boolean {
  return device.startsWith('virtio-') && /^[^,]*-transitional(,|$)/.test(device);
}

/** Reads QEMU's own arguments; `drives`: file and format by the name of the drive. */
function seenInArguments(
  program: string,
  args: readonly string[],
  drives: ReadonlyMap<string, { file: string; format: string }>,
): Seen {
  const [machine = ''] = values(args, '-machine');
  const devices = values(args, '-device');
  const option = (device: string, name: string) => new RegExp(`,${name}=([^,]*)`).exec(device)?.[1] ?? null;
  const disks = devices.filter((device) => option(device, 'drive') !== null);
  // Only the first has a place in the order of starting.
  expect(disks.map((disk) => option(disk, 'bootindex'))).toEqual(disks.map((_, n) => (n === 0 ? '0' : null)));
  expect(values(args, '-boot')).toEqual(['strict=on']);
  const scsi = devices.filter((device) => device.startsWith('virtio-scsi-pci'));
  const nics = devices.filter((device) => option(device, 'netdev') !== null);
  expect(nics.map((nic) => option(nic, 'netdev'))).toEqual(
    values(args, '-netdev').map((netdev) => option(netdev, 'id')),
  );
  const rng = devices.filter((device) => device.startsWith('virtio-rng-pci'));
  expect(rng.length).toBeLessThan(2);
  const onBus = (device: string) => {
    if (device.startsWith('virtio-blk-pci')) return 'virtio';
    if (device.startsWith('scsi-hd')) return 'scsi';
    return option(device, 'unit') === null ? 'sata' : 'ide';
  };
  return {
    architecture: program.replace('qemu-system-', ''),
    board: machine.split(',')[0] ?? '',
    gic: /,gic-version=(\d)/.exec(machine)?.[1] ?? null,
    firmware:
      /pflash0=code/.test(machine) || values(args, '-drive').some((drive) => drive.startsWith('if=pflash'))
        ? 'uefi'
        : 'bios',
    memoryMib: Number(values(args, '-m')[0]),
    vcpus: Number(values(args, '-smp')[0]),
    clock: (values(args, '-rtc')[0] ?? '').replace('base=', ''),
    video: devices.flatMap((device) => VIDEO[device] ?? []).join(),
    disks: disks.map((device) => ({
      ...drives.get(option(device, 'drive') ?? '')!,
      bus: onBus(device),
      isTransitional: onBus(device) === 'scsi' ? scsi.every(isTransitional) : isTransitional(device),
      sectors: `${option(device, 'logical_block_size')}/${option(device, 'physical_block_size')}`,
    })),
    nics: nics.map((device) => ({
      model: (device.split(',')[0] ?? '').replace(/^virtio-net-pci.*/, 'virtio'),
      mac: option(device, 'mac'),
      isTransitional: isTransitional(device),
    })),
    rng: rng[0] === undefined ? 'none' : isTransitional(rng[0]) ? 'transitional' : 'modern',
  };
}

function seenInBootTest(machine: Machine): Seen {
  const args = qemuArguments(machine, {
    accelerator: 'tcg',
    uefi: machine.firmware === 'uefi' ? UEFI : null,
    layers: machine.disks.map((_, n) => ({ overlay: `/w/${n}`, evidence: n === 0 ? '/w/evidence' : null })),
  });
  interface Node {
    'node-name': string;
    driver: string;
    file: { filename: string };
    backing?: Node | null;
  }
  const bottom = (node: Node): Node => (node.backing == null ? node : bottom(node.backing));
  const nodes = values(args, '-blockdev').map((text) => JSON.parse(text) as Node);
  const drives = nodes.map((node) => {
    const { driver: format, file } = bottom(node);
    return [node['node-name'], { file: file.filename, format }] as const;
  });
  return seenInArguments(machine.architecture.qemu.program, args, new Map(drives));
}

function seenInCommand(machine: Machine): Seen {
  const uefi = machine.firmware === 'uefi' ? UEFI : null;
  const args = startArguments(machine, { accelerator: 'tcg', uefi });
  const drives = values(args, '-drive').flatMap((drive) => {
    const [, name, format, file] =
      /^if=none,id=(\w+),format=(\w+),discard=unmap,file=(.*)$/s.exec(drive) ?? [];
    return name === undefined
      ? []
      : [[name, { format: format!, file: file!.replaceAll(',,', ',') }] as const];
  });
  return seenInArguments(machine.architecture.qemu.program, args, new Map(drives));
}

function seenInDomain(machine: Machine): Seen {
  const names = { job: 'j', vm: 'vm', sourceName: null, osName: null, network: 'default' };
  const xml = libvirtDomain(machine, { ...names, accelerator: 'kvm' });
  const first = (pattern: RegExp) => pattern.exec(xml)?.[1] ?? null;
  const parts = (name: string) =>
    [...xml.matchAll(new RegExp(`<${name}[ >].*?</${name}>`, 'gs'))].map(([part]) => part);
  const scsi = [...xml.matchAll(/<controller type='scsi'.* model='(.*)'\/>/g)].map(([, model]) => model);
  // libvirt puts seven disks on a SCSI controller and makes what is missing of a model of its own.
  expect(scsi).toHaveLength(machine.diskBus === 'scsi' ? Math.ceil(machine.disks.length / 7) : 0);
  const isScsiTransitional = scsi.every((model) => model === 'virtio-transitional');
  const disks = parts('disk').map((disk) => {
    const of = (pattern: RegExp) => pattern.exec(disk)?.[1] ?? '';
    const bus = of(/bus='(\w+)'/);
    const isDisk = /model='virtio-transitional'/.test(disk);
    return {
      target: of(/target dev='(\w+)'/),
      seen: {
        file: of(/<source file='([^']*)'\/>/),
        format: of(/type='(\w+)' discard/),
        bus,
        isTransitional: bus === 'scsi' ? isScsiTransitional : isDisk,
        sectors: `${of(/logical_block_size='(\d+)'/) || null}/${of(/physical_block_size='(\d+)'/) || null}`,
      },
    };
  });
  // The letters, and with them libvirt's places, are in the order of the disks.
  const targets = disks.map(({ target }) => target);
  expect(targets.toSorted((a, b) => a.length - b.length || (a < b ? -1 : 1))).toEqual(targets);
  return {
    architecture: first(/arch='(\w+)'/) ?? '',
    board: first(/machine='(\w+)'/) ?? '',
    gic: first(/<gic version='(\d)'/),
    firmware: /<os firmware='efi'>/.test(xml) ? 'uefi' : 'bios',
    memoryMib: Number(first(/<memory unit='MiB'>(\d+)/)),
    vcpus: Number(first(/<vcpu placement='static'>(\d+)/)),
    clock: first(/<clock offset='(\w+)'/) ?? '',
    video: first(/<video>\s*<model type='([\w-]+)'/) ?? '',
    disks: disks.map(({ seen }) => seen),
    nics: parts('interface').map((nic) => ({
      model: (/<model type='([\w-]+)'/.exec(nic)?.[1] ?? '').replace('virtio-transitional', 'virtio'),
      mac: /<mac address='(.*)'/.exec(nic)?.[1] ?? null,
      isTransitional: /virtio-transitional/.test(nic),
    })),
    rng: ((model) => (model === null ? 'none' : model === 'virtio' ? 'modern' : 'transitional'))(
      first(/<rng model='([\w-]+)'/),
    ),
  };
}

test('boot test, libvirt domain and start command offer a guest the same machine', () => {
  fc.assert(
    fc.property(anyMachine, (machine) => {
      const booted = seenInBootTest(machine);
      expect(booted.disks.map(({ file }) => file)).toEqual(machine.disks.map(({ file }) => file));
      expect(booted.disks.map(({ sectors }) => sectors)).toEqual(
        machine.disks.map(({ sectorSize = null }) => `${sectorSize}/${sectorSize}`),
      );
      expect(booted.nics.map(({ mac }) => mac)).toEqual(machine.nics);
      expect(seenInCommand(machine)).toEqual(booted);
      const escaped = booted.disks.map((disk) => ({ ...disk, file: markupText(disk.file) }));
      expect(seenInDomain(machine)).toEqual({ ...booted, disks: escaped });
    }),
  );
});
