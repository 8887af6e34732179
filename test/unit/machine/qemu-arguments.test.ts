import { describe, expect, it } from 'vitest';
import { type BootRun, qemuArguments } from '../../../src/machine/qemu-arguments.js';
import { type MachineParts, machineWith, storeOn, VIRTIO } from './machines.js';

const RAW = { file: '/w/out/vm-disk0.raw', format: 'raw' } as const;
const LAYERS = { overlay: '/w/validate/disk0.qcow2', evidence: null };

function values(args: readonly string[], option: string): string[] {
  return args.flatMap((arg, index) => (arg === option ? [args[index + 1] ?? ''] : []));
}

function nodes(args: readonly string[]): Record<string, unknown>[] {
  return values(args, '-blockdev').map((text) => JSON.parse(text));
}

/** Each disk with a throw-away layer of the same name. */
function argumentsOf(parts: Partial<MachineParts>, run: Partial<BootRun> = {}): string[] {
  const machine = machineWith({ disks: [RAW], macs: [], ...parts });
  const layers = machine.disks.map(() => LAYERS);
  return qemuArguments(machine, { accelerator: 'tcg', uefi: null, layers, ...run });
}

describe('qemuArguments', () => {
  it('gives a BIOS guest on virtio', () => {
    const args = argumentsOf({});
    expect(args.slice(0, 12)).toEqual([
      ...['-machine', 'q35', '-accel', 'tcg,thread=multi', '-cpu', 'max,erms=off', '-m', '1024'],
      ...['-smp', '2', '-rtc', 'base=utc'],
    ]);
    expect(values(args, '-device')).toEqual([
      'VGA',
      'pcie-root-port,id=port1,chassis=1,addr=0x2.0,multifunction=on',
      'virtio-net-pci,netdev=net0,romfile=,bus=port1',
      'pcie-root-port,id=port2,chassis=2,addr=0x2.1',
      'virtio-blk-pci,drive=disk0,bootindex=0,bus=port2',
      'pcie-root-port,id=port3,chassis=3,addr=0x2.2',
      'virtio-rng-pci,bus=port3',
      'isa-debugcon,iobase=0x402,chardev=firmware0',
      'pvpanic',
    ]);
    expect(values(args, '-netdev')).toEqual(['user,id=net0,restrict=on']);
  });

  it('pins every node, and opens all but the throw-away layer read-only', () => {
    const disks = [{ file: '/w/out/vm-disk0.qcow2', format: 'qcow2' as const }];
    const layers = [{ ...LAYERS, evidence: '/w/fix-evidence0.qcow2' }];
    expect(nodes(argumentsOf({ disks }, { layers }))).toEqual([
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
    const layers = [{ ...LAYERS, overlay }];
    expect(nodes(argumentsOf({}, { layers }))[0]).toMatchObject({ file: { filename: overlay } });
  });

  it('gives a UEFI guest its firmware read-only and its own variables', () => {
    const uefi = { code: '/f/CODE.fd', variables: '/w/vars.fd' };
    const args = argumentsOf({ firmware: 'uefi' }, { uefi });
    expect(values(args, '-machine')).toEqual(['q35,pflash0=code,pflash1=variables']);
    expect(nodes(args).slice(0, 2)).toMatchObject([
      { 'node-name': 'code', 'read-only': true },
      { 'node-name': 'variables', file: { filename: '/w/vars.fd', 'read-only': false } },
    ]);
  });

  it.each([
    ['virtio', ['virtio-blk-pci,drive=disk0,bootindex=0,bus=port2', 'virtio-blk-pci,drive=disk1,bus=port3']],
    [
      'scsi',
      [
        'virtio-scsi-pci,id=scsi0,bus=port2',
        'scsi-hd,bus=scsi0.0,scsi-id=0,lun=0,drive=disk0,bootindex=0',
        'scsi-hd,bus=scsi0.0,scsi-id=0,lun=1,drive=disk1',
      ],
    ],
    ['sata', ['ide-hd,bus=ide.0,drive=disk0,bootindex=0', 'ide-hd,bus=ide.1,drive=disk1']],
    ['ide', ['ide-hd,bus=ide.0,unit=0,drive=disk0,bootindex=0', 'ide-hd,bus=ide.0,unit=1,drive=disk1']],
  ] as const)('puts two disks in order on %s', (disk_bus, expected) => {
    const args = argumentsOf({ devices: { disk_bus, nic_model: 'e1000' }, disks: [RAW, RAW] });
    expect(values(args, '-device').filter((device) => /drive=|scsi0$|id=scsi0/.test(device))).toEqual(
      expected,
    );
    expect(values(args, '-machine')).toEqual([disk_bus === 'ide' ? 'pc' : 'q35']);
  });

  it('adds a controller for the seventh SATA disk, and for the eighth SCSI disk as libvirt does', () => {
    const on = (disk_bus: 'sata' | 'scsi', count: number) => {
      const disks = Array.from({ length: count }, () => RAW);
      return values(argumentsOf({ devices: { disk_bus, nic_model: 'e1000' }, disks }), '-device');
    };
    expect(on('sata', 7).filter((device) => /ahci/.test(device))).toEqual([
      'ich9-ahci,id=ahci1,bus=port2',
      'ide-hd,bus=ahci1.0,drive=disk6',
    ]);
    expect(on('scsi', 8).filter((device) => /scsi1/.test(device))).toEqual([
      'virtio-scsi-pci,id=scsi1,bus=port3',
      'scsi-hd,bus=scsi1.0,scsi-id=0,lun=0,drive=disk7',
    ]);
  });

  it('gives a driver from before virtio 1.0 transitional devices on a conventional bus', () => {
    const devices = { ...VIRTIO, virtio: 'transitional' } as const;
    expect(values(argumentsOf({ devices }), '-device')).toEqual([
      'VGA',
      'pcie-root-port,id=port1,chassis=1,addr=0x2.0,multifunction=on',
      'pcie-pci-bridge,id=bridge1,bus=port1',
      'virtio-net-pci-transitional,netdev=net0,romfile=,bus=bridge1,addr=0x1',
      'virtio-blk-pci-transitional,drive=disk0,bootindex=0,bus=bridge1,addr=0x2',
      'virtio-rng-pci-transitional,bus=bridge1,addr=0x3',
      'isa-debugcon,iobase=0x402,chardev=firmware0',
      'pvpanic',
    ]);
  });

  it('gives an AArch64 guest virt, whose devices are none of a PC’s', () => {
    const uefi = { code: '/f/AAVMF_CODE.fd', variables: '/w/vars.fd' };
    const devices = { disk_bus: 'sata', nic_model: 'e1000e' } as const;
    const args = argumentsOf({ architecture: 'aarch64', devices }, { uefi });
    expect(args.slice(0, 6)).toEqual([
      ...['-machine', 'virt,pflash0=code,pflash1=variables', '-accel', 'tcg,thread=multi'],
      ...['-cpu', 'max,lpa2=off,pauth-impdef=on'],
    ]);
    expect(values(args, '-device')).toEqual([
      'virtio-gpu-pci',
      'pcie-root-port,id=port1,chassis=1,addr=0x2.0,multifunction=on',
      'e1000e,netdev=net0,romfile=,bus=port1',
      'pcie-root-port,id=port2,chassis=2,addr=0x2.1',
      'ich9-ahci,id=ahci0,bus=port2',
      'ide-hd,bus=ahci0.0,drive=disk0,bootindex=0',
      'pvpanic-pci',
    ]);
    expect(values(args, '-serial')).toEqual(['chardev:serial0']);
  });

  it('gives virt the interrupt controller that has room for the CPUs', () => {
    const machine = (vcpus: number) => values(argumentsOf({ architecture: 'aarch64', vcpus }), '-machine');
    expect([machine(8), machine(9)]).toEqual([['virt'], ['virt,gic-version=3']]);
  });

  it('offers Windows Hyper-V on KVM alone, and catches up its lost ticks', () => {
    const on = (accelerator: 'kvm' | 'tcg') => {
      const args = argumentsOf({ osType: 'windows' }, { accelerator });
      return ['-machine', '-cpu', '-rtc'].map((option) => values(args, option)[0]);
    };
    const flags = [
      'relaxed',
      'vapic',
      'vpindex',
      'runtime',
      'synic',
      'stimer',
      'frequencies',
      'tlbflush',
      'ipi',
    ];
    const cpu = `max${flags.map((name) => `,hv-${name}=on`).join('')},hv-spinlocks=8191,hv-time=on,hv-crash=on`;
    expect(on('kvm')).toEqual(['q35,hpet=off', cpu, 'base=localtime,driftfix=slew']);
    expect(on('tcg')).toEqual(['q35,hpet=off', 'max,erms=off', 'base=localtime,driftfix=slew']);
  });

  it('gives Windows 11 its TPM and Secure Boot, and Windows XP a flat bus with places', () => {
    const uefi = { code: '/f/CODE.fd', variables: '/f/VARS.fd' };
    const windows11 = argumentsOf(
      {
        firmware: 'uefi',
        osType: 'windows',
        windows: { build: 22_631, installation_type: 'Client' },
        described: { secure_boot: true },
      },
      { uefi, tpm: '/run/h2k/tpm' },
    );
    expect(values(windows11, '-machine')).toEqual(['q35,hpet=off,smm=on,pflash0=code,pflash1=variables']);
    expect(values(windows11, '-global')).toEqual(['driver=cfi.pflash01,property=secure,value=on']);
    expect(values(windows11, '-chardev')).toEqual(['socket,id=tpm,path=/run/h2k/tpm']);
    expect(values(windows11, '-tpmdev')).toEqual(['emulator,id=tpm0,chardev=tpm']);
    expect(values(windows11, '-device')).toContain('tpm-crb,tpmdev=tpm0');
    const xp = argumentsOf({
      osType: 'windows',
      windows: { build: 2600 },
      devices: { disk_bus: 'virtio', nic_model: 'e1000' },
    });
    expect(values(xp, '-machine')).toEqual(['pc']);
    expect(values(xp, '-device').slice(0, 4)).toEqual([
      'VGA',
      'e1000,netdev=net0,romfile=,addr=0x3',
      'virtio-blk-pci,drive=disk0,bootindex=0,addr=0x4',
      'virtio-rng-pci,addr=0x5',
    ]);
  });

  it('starts Windows from the disk with its boot configuration', () => {
    const args = argumentsOf({ osType: 'windows', windows: { boot_store: storeOn(1) }, disks: [RAW, RAW] });
    expect(values(args, '-device').filter((device) => device.includes('bootindex'))).toEqual([
      'virtio-blk-pci,drive=disk1,bootindex=0,bus=port3',
    ]);
  });

  it('uses KVM, with the host’s CPU, and local time where told', () => {
    const args = argumentsOf({ architecture: 'aarch64', osType: 'windows' }, { accelerator: 'kvm' });
    expect([values(args, '-accel'), values(args, '-cpu'), values(args, '-rtc')]).toEqual([
      ['kvm'],
      ['max'],
      ['base=localtime'],
    ]);
  });
});
