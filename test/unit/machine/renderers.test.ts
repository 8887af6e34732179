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
  bootDisk: number;
  uuid: string | null;
  /** Features of Hyper-V's interface with their values, sorted. */
  hyperv: string[];
  secureBoot: boolean;
  tpm: string | null;
  /** PCI addresses of NICs, disks, SCSI controllers and random number generator, bus by bus; null: any. */
  places: string[] | null;
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
  // Only one has a place in the order of starting.
  const order = disks.map((disk) => option(disk, 'bootindex'));
  expect(order.filter((place) => place !== null)).toEqual(['0']);
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
    clock: /^base=(\w+)/.exec(values(args, '-rtc')[0] ?? '')?.[1] ?? '',
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
    bootDisk: order.indexOf('0'),
    uuid: values(args, '-uuid')[0] ?? null,
    hyperv: hypervFlags(values(args, '-cpu')[0] ?? ''),
    secureBoot: securedTwice(machine, values(args, '-global')),
    tpm: devices.find((device) => device.startsWith('tpm-'))?.split(',')[0] ?? null,
    places: placesIn(
      devices,
      [...nics, ...disks.filter((disk) => onBus(disk) === 'virtio'), ...scsi, ...rng],
      option,
    ),
  };
}

/** Only the boot test asks why Windows stopped; `hv-time` is what libvirt calls the timer `hypervclock`. */
const hypervFlags = (cpu: string) =>
  [...cpu.replace(',hv-crash=on', '').matchAll(/,hv-([a-z]+)=([^,]+)/g)]
    .map(([, name, value]) => `${name}=${value}`)
    .toSorted();

/** Secure Boot is worth something only where SMM protects the variables. */
function securedTwice(machine: string, globals: readonly string[]): boolean {
  const isSmm = machine.includes(',smm=on');
  expect(globals).toEqual(isSmm ? ['driver=cfi.pflash01,property=secure,value=on'] : []);
  return isSmm;
}

/** Where devices are, from the machine's own bus down: `2.1/0` is behind the port in slot 2, function 1. */
function placesIn(
  devices: readonly string[],
  wanted: readonly string[],
  option: (device: string, name: string) => string | null,
): string[] {
  const placeOf = (device: string): string => {
    const bus = option(device, 'bus');
    const address = option(device, 'addr');
    const own = address === null ? (bus === null ? '?' : '0') : address.replace(/^0x/, '');
    if (bus === null) return own;
    return `${placeOf(devices.find((other) => option(other, 'id') === bus)!)}/${own}`;
  };
  return wanted.map((device) => placeOf(device).replace(/^(\w+)\.0(?=\/)/, '$1'));
}

function seenInBootTest(machine: Machine): Seen {
  const args = qemuArguments(machine, {
    accelerator: 'kvm',
    uefi: machine.firmware === 'uefi' ? UEFI : null,
    tpm: machine.tpm ? '/run/tpm' : undefined,
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
  const args = startArguments(machine, { accelerator: 'kvm', uefi, hasTpmEmulator: true });
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
  const scsi = [...xml.matchAll(/<controller type='scsi'.* model='([^']*)'/g)].map(([, model]) => model);
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
  const several = parts('hyperv');
  const flags = several.flatMap((text) =>
    [...text.matchAll(/<(\w+) state='on'(?: retries='(\d+)')?\/>/g)].map(
      ([, name, retries]) => `${name}=${retries ?? 'on'}`,
    ),
  );
  const isTimed = /<timer name='hypervclock' present='yes'\/>/.test(xml);
  const own = parts('disk').map((disk) => /<boot order='1'\/>/.test(disk));
  // One of the two says which disk is started from.
  expect(own.includes(true)).toBe(!xml.includes("<boot dev='hd'/>"));
  const isSecure = /<feature enabled='yes' name='secure-boot'\/>/.test(xml);
  expect([/<smm state='on'\/>/, /<loader secure='yes'\/>/].map((part) => part.test(xml))).toEqual([
    isSecure,
    isSecure,
  ]);
  return {
    bootDisk: Math.max(0, own.indexOf(true)),
    uuid: machine.uuid === null ? null : first(/<uuid>(.*)<\/uuid>/),
    hyperv: [...flags, ...(isTimed ? ['time=on'] : [])].toSorted(),
    secureBoot: isSecure,
    tpm: first(/<tpm model='([\w-]+)'>/),
    places: placesInDomain(xml),
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

/** The addresses of a domain in the same form; null if it has none. */
function placesInDomain(xml: string): string[] | null {
  const addressOf = (element: string) => {
    const [, bus, slot, part] =
      /<address type='pci' domain='0x0000' bus='0x(\w+)' slot='0x(\w+)' function='0x(\w)'/.exec(element) ??
      [];
    return bus === undefined
      ? null
      : { bus: Number.parseInt(bus, 16), slot: Number.parseInt(slot!, 16), part: Number(part) };
  };
  const elements = (name: string) =>
    [...xml.matchAll(new RegExp(`<${name}(?: [^>]*)?/>|<${name}[ >].*?</${name}>`, 'gs'))].map(
      ([text]) => text,
    );
  const ports = new Map(
    elements('controller').flatMap((text) => {
      const index = /type='pci' index='(\d+)'/.exec(text)?.[1];
      return index === undefined ? [] : [[Number(index), addressOf(text)!] as const];
    }),
  );
  const placeOf = ({ bus, slot, part }: NonNullable<ReturnType<typeof addressOf>>): string => {
    const own = `${slot.toString(16)}${part === 0 ? '' : `.${part}`}`;
    return bus === 0 ? own : `${placeOf(ports.get(bus)!)}/${own}`;
  };
  const named = (text: string) => {
    const address = addressOf(text);
    return address === null ? [] : [placeOf(address)];
  };
  const scsi = elements('controller').filter((text) => text.includes("type='scsi'"));
  const found = [...elements('interface'), ...elements('disk'), ...scsi, ...elements('rng')].flatMap(named);
  return found.length === 0 ? null : found;
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
      const places = machine.isPinned ? booted.places?.filter((place) => place !== '?') : null;
      expect(seenInDomain(machine)).toEqual({
        ...booted,
        disks: escaped,
        places: places?.length === 0 ? null : places,
      });
    }),
  );
});
