import { describe, expect, test } from 'vitest';
import { parseHyperVXml, parseVmcx } from '../../../../src/disk/hyperv/configuration.js';
import {
  type HyperVVm,
  hyperVConfiguration,
  hyperVXml,
  type StoreNode,
  vhdAt,
  vmcx,
} from '../hyperv-store.js';

const forms: [string, (root: StoreNode) => ReturnType<typeof parseHyperVXml>][] = [
  ['a .vmcx', (root) => parseVmcx(vmcx(root))],
  ['the older .xml', (root) => parseHyperVXml(hyperVXml(root))],
];

describe.each(forms)('%s', (_what, parse) => {
  const of = (vm: HyperVVm) => parse(hyperVConfiguration({ ...vm, name: 'web01' }))!;

  test('memory, CPUs, generation, network cards, disks in their order', () => {
    const found = of({
      disks: {
        scsi0: [vhdAt('D:\\VMs\\data.vhdx')],
        ide0: [vhdAt('D:\\VMs\\web01_6F0A.avhdx'), { type: 'NONE', pathname: '' }],
        ide1: [{ type: 'ISO', pathname: 'D:\\debian.iso' }],
      },
      macs: ['00-15-5D-01-07-DC', '00-00-00-00-00-00', '00155D0107DD'],
    });
    expect(found.hardware).toEqual({
      name: 'web01',
      memory_mib: 2048,
      vcpus: 3,
      firmware: 'bios',
      nics: [
        { mac: '00:15:5d:01:07:dc', network: 'External', model: null },
        { mac: null, network: 'External', model: null },
        { mac: '00:15:5d:01:07:dd', network: 'External', model: null },
      ],
      os_hint: null,
    });
    expect(found.disks).toEqual([
      { controller: 'ide0:0', file: 'D:\\VMs\\web01_6F0A.avhdx', capacity: null, format: null },
      { controller: 'scsi0:0', file: 'D:\\VMs\\data.vhdx', capacity: null, format: null },
    ]);
    expect(found).toMatchObject({ isCheckpoint: false, warnings: [] });
  });

  test('a VM of the second generation starts with UEFI, and its controllers are numbered', () => {
    const found = of({ generation: 2, disks: { scsi0: [vhdAt('a.vhdx')], scsi1: [vhdAt('b.vhdx')] } });
    expect(found.hardware.firmware).toBe('uefi');
    expect(found.disks.map(({ controller, file }) => [controller, file])).toEqual([
      ['scsi0:0', 'a.vhdx'],
      ['scsi1:0', 'b.vhdx'],
    ]);
  });

  test('a disk of the host is left out, with a warning', () => {
    const found = of({
      disks: { ide0: [vhdAt('a.vhdx')], scsi0: [{ type: 'PHYSICAL', pathname: 'Microsoft:AB' }] },
    });
    expect(found.disks.map(({ file }) => file)).toEqual(['a.vhdx']);
    expect(found.warnings).toEqual([expect.stringContaining('scsi0:0')]);
  });

  test('a checkpoint’s configuration says so', () => {
    expect(of({ typeId: 'Snapshots', disks: { ide0: [vhdAt('a.vhdx')] } }).isCheckpoint).toBe(true);
  });
});

test('more keys than one table has', () => {
  const disks = { scsi0: Array.from({ length: 60 }, (_, index) => vhdAt(`D:\\VMs\\disk${index}.vhdx`)) };
  const { disks: found } = parseVmcx(vmcx(hyperVConfiguration({ disks })));
  expect(found.map(({ file }) => file)).toEqual(disks.scsi0.map(({ pathname }) => pathname));
});

test('XML of another kind is none of Hyper-V’s', () => {
  expect(parseHyperVXml(Buffer.from('<domain type="kvm"><name>a</name></domain>'))).toBe(null);
  expect(parseHyperVXml(Buffer.from('<configuration><appSettings/></configuration>'))).toBe(null);
});

describe('a .vmcx that cannot be read', () => {
  const root = hyperVConfiguration({ disks: { ide0: [vhdAt('a.vhdx')] } });
  const edited = (edit: (bytes: Buffer) => void) => {
    const bytes = vmcx(root);
    edit(bytes);
    return () => parseVmcx(bytes);
  };
  test.each<[string, string, () => unknown]>([
    ['zeros', 'fetch.corrupt', () => parseVmcx(Buffer.alloc(8192))],
    ['empty', 'fetch.corrupt', () => parseVmcx(Buffer.alloc(0))],
    ['of an old version', 'fetch.unsupported', () => parseVmcx(vmcx(root, { version: 0x0101 }))],
    ['with a log to replay', 'fetch.unsupported', () => parseVmcx(vmcx(root, { logEntries: 1 }))],
    ['without a configuration', 'fetch.corrupt', () => parseVmcx(vmcx({ other: 1 }))],
    [
      'an object table in a loop',
      'fetch.corrupt',
      edited((bytes) => {
        bytes.writeUInt8(1, 8192 + 8);
        bytes.writeBigUInt64LE(8192n, 8192 + 8 + 5);
      }),
    ],
    [
      'a table outside of the file',
      'fetch.corrupt',
      edited((bytes) => bytes.writeBigUInt64LE(2n ** 40n, 8192 + 8 + 5)),
    ],
    [
      'a key larger than its table',
      'fetch.corrupt',
      edited((bytes) => bytes.writeUInt32LE(5000, 4 * 4096 + 12)),
    ],
  ])('%s', (_what, code, parse) => {
    expect(parse).toThrow(expect.objectContaining({ code }));
  });

  test('with one good header it can be read', () => {
    const bytes = vmcx(root);
    bytes.fill(0xff, 4096 + 8, 4096 + 40);
    expect(parseVmcx(bytes).disks).toHaveLength(1);
  });
});
