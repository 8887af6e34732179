import { describe, expect, it } from 'vitest';
import { type MachineFacts, machineArguments } from '../../../src/machine/qemu-arguments.js';

const DISK = {
  overlay: '/w/validate/disk0.qcow2',
  layers: [{ file: '/w/out/vm-disk0.raw', format: 'raw' as const }],
};
const FACTS: MachineFacts = {
  accelerator: 'tcg',
  uefi: null,
  memoryMib: 1024,
  smp: 2,
  devices: { disk_bus: 'virtio', nic_model: 'virtio' },
  disks: [DISK],
  nics: [null],
  localClock: false,
};

function values(args: readonly string[], option: string): string[] {
  return args.flatMap((arg, index) => (arg === option ? [args[index + 1] ?? ''] : []));
}

function nodes(args: readonly string[]): Record<string, unknown>[] {
  return values(args, '-blockdev').map((text) => JSON.parse(text));
}

function machineWith(facts: Partial<MachineFacts>): string[] {
  return machineArguments({ ...FACTS, ...facts });
}

describe('machineArguments', () => {
  it('gives a BIOS guest on virtio', () => {
    const args = machineWith({});
    expect(args.slice(0, 12)).toEqual([
      ...['-machine', 'q35', '-accel', 'tcg,thread=multi', '-cpu', 'max', '-m', '1024', '-smp', '2'],
      ...['-rtc', 'base=utc'],
    ]);
    expect(values(args, '-device')).toEqual([
      'pcie-root-port,id=port1,chassis=1,addr=0x2.0,multifunction=on',
      'virtio-blk-pci,drive=disk0,bootindex=0,bus=port1',
      'pcie-root-port,id=port2,chassis=2,addr=0x2.1',
      'virtio-net-pci,netdev=net0,romfile=,bus=port2',
      'VGA',
      'isa-debugcon,iobase=0x402,chardev=firmware0',
      'pvpanic',
      'pcie-root-port,id=port3,chassis=3,addr=0x2.2',
      'virtio-rng-pci,bus=port3',
    ]);
    expect(values(args, '-netdev')).toEqual(['user,id=net0,restrict=on']);
  });

  it('pins every node, and opens all but the throw-away layer read-only', () => {
    const layers = [
      { file: '/w/fix-evidence0.qcow2', format: 'qcow2' as const },
      { file: '/w/out/vm-disk0.qcow2', format: 'qcow2' as const },
    ];
    expect(nodes(machineWith({ disks: [{ ...DISK, layers }] }))).toEqual([
      {
        'node-name': 'disk0',
        driver: 'qcow2',
        cache: { 'no-flush': true },
        discard: 'unmap',
        file: { driver: 'file', filename: '/w/validate/disk0.qcow2', 'read-only': false, discard: 'unmap' },
        backing: {
          driver: 'qcow2',
          'read-only': true,
          file: { driver: 'file', filename: '/w/fix-evidence0.qcow2', 'read-only': true },
          backing: {
            driver: 'qcow2',
            'read-only': true,
            file: { driver: 'file', filename: '/w/out/vm-disk0.qcow2', 'read-only': true },
            // What the delivered header says of a backing file is not followed.
            backing: null,
          },
        },
      },
    ]);
  });

  it('takes any file name as data', () => {
    const overlay = '/w/a,readonly=off"\\ b/disk0.qcow2';
    expect(nodes(machineWith({ disks: [{ ...DISK, overlay }] }))[0]).toMatchObject({
      file: { filename: overlay },
    });
  });

  it('gives a UEFI guest its firmware read-only and its own variables', () => {
    const args = machineWith({ uefi: { code: '/f/CODE.fd', variables: '/w/vars.fd' } });
    expect(values(args, '-machine')).toEqual(['q35,pflash0=code,pflash1=variables']);
    expect(nodes(args).slice(0, 2)).toMatchObject([
      { 'node-name': 'code', 'read-only': true },
      { 'node-name': 'variables', file: { filename: '/w/vars.fd', 'read-only': false } },
    ]);
  });

  it.each([
    ['virtio', ['virtio-blk-pci,drive=disk0,bootindex=0,bus=port1', 'virtio-blk-pci,drive=disk1,bus=port2']],
    [
      'scsi',
      [
        'virtio-scsi-pci,id=scsi0,bus=port1',
        'scsi-hd,bus=scsi0.0,scsi-id=0,drive=disk0,bootindex=0',
        'scsi-hd,bus=scsi0.0,scsi-id=1,drive=disk1',
      ],
    ],
    ['sata', ['ide-hd,bus=ide.0,drive=disk0,bootindex=0', 'ide-hd,bus=ide.1,drive=disk1']],
    ['ide', ['ide-hd,bus=ide.0,unit=0,drive=disk0,bootindex=0', 'ide-hd,bus=ide.0,unit=1,drive=disk1']],
  ] as const)('puts two disks in order on %s', (disk_bus, expected) => {
    const args = machineWith({ devices: { disk_bus, nic_model: 'e1000' }, disks: [DISK, DISK], nics: [] });
    expect(values(args, '-device').filter((device) => /drive=|scsi0$|id=scsi0/.test(device))).toEqual(
      expected,
    );
    expect(values(args, '-machine')).toEqual([disk_bus === 'ide' ? 'pc' : 'q35']);
  });

  it('adds a SATA controller for the seventh disk', () => {
    const args = machineWith({
      devices: { disk_bus: 'sata', nic_model: 'e1000' },
      disks: Array.from({ length: 7 }, () => DISK),
      nics: [],
    });
    expect(values(args, '-device').filter((device) => /ahci/.test(device))).toEqual([
      'ich9-ahci,id=ahci1,bus=port1',
      'ide-hd,bus=ahci1.0,drive=disk6',
    ]);
  });

  it('gives a driver from before virtio 1.0 transitional devices on a conventional bus', () => {
    const devices = { disk_bus: 'virtio', nic_model: 'virtio', virtio: 'transitional' } as const;
    expect(values(machineWith({ devices }), '-device')).toEqual([
      'pcie-root-port,id=port1,chassis=1,addr=0x2.0,multifunction=on',
      'pcie-pci-bridge,id=bridge1,bus=port1',
      'virtio-blk-pci-transitional,drive=disk0,bootindex=0,bus=bridge1,addr=0x1',
      'virtio-net-pci-transitional,netdev=net0,romfile=,bus=bridge1,addr=0x2',
      'VGA',
      'isa-debugcon,iobase=0x402,chardev=firmware0',
      'pvpanic',
      'virtio-rng-pci-transitional,bus=bridge1,addr=0x3',
    ]);
  });

  it('keeps the MACs that QEMU takes, in order', () => {
    const nics = ['00:50:56:AB:CD:EF', null, '01:00:5e:00:00:01', 'x,romfile=/etc/shadow'];
    const devices = values(machineWith({ nics }), '-device').filter((device) =>
      device.startsWith('virtio-net'),
    );
    expect(devices).toEqual([
      'virtio-net-pci,netdev=net0,mac=00:50:56:ab:cd:ef,romfile=,bus=port2',
      'virtio-net-pci,netdev=net1,romfile=,bus=port3',
      'virtio-net-pci,netdev=net2,romfile=,bus=port4',
      'virtio-net-pci,netdev=net3,romfile=,bus=port5',
    ]);
  });

  it('uses KVM and local time where told', () => {
    const args = machineWith({ accelerator: 'kvm', localClock: true });
    expect([values(args, '-accel'), values(args, '-rtc')]).toEqual([['kvm'], ['base=localtime']]);
  });
});
