import { describe, expect, it } from 'vitest';
import {
  refuseDatastore,
  refuseExport,
  refuseVm,
} from '../../../../../../src/sources/remote/transports/vsphere/refuse-vm.js';
import { factsOf } from '../../../../../../src/sources/remote/transports/vsphere/vm-facts.js';
import { HARDWARE, vmContent } from './vm.js';

const attempt = (changes: Record<string, string>) => () => refuseVm(factsOf(vmContent(changes)));

describe('refuseVm', () => {
  it('lets a VM pass that is off', () => {
    expect(attempt({})).not.toThrow();
  });

  it.each([
    [{ 'runtime.powerState': 'poweredOn' }, 'remote.powered-on', 'is running'],
    [{ 'runtime.powerState': 'suspended' }, 'remote.powered-on', 'is suspended'],
    [{ 'runtime.powerState': '' }, 'remote.powered-on', ''],
    [{ 'runtime.connectionState': 'inaccessible' }, 'remote.datastore-unreadable', 'is inaccessible'],
    [{ 'config.hardware': '' }, 'remote.permission', 'System.Read'],
    [{ 'config.hardware': '<memoryMB>1</memoryMB>' }, 'remote.unsupported-disk', 'has no disks'],
    [
      { 'config.hardware': HARDWARE.replace('VirtualDiskFlatVer2', 'VirtualDiskRawDiskMappingVer1') },
      'remote.unsupported-disk',
      'Hard disk 2 of web01 is a raw device mapping',
    ],
    [
      { 'config.hardware': HARDWARE.replace('<fileName>[ds2] web01/web01.vmdk</fileName>', '') },
      'remote.unsupported-disk',
      'has no file',
    ],
    [
      { 'config.hardware': HARDWARE.replace('sharingNone', 'sharingMultiWriter') },
      'remote.unsupported-disk',
      'Hard disk 2 of web01 is shared with other VMs (multi-writer)',
    ],
    ...['physicalSharing', 'virtualSharing'].map((bus): [Record<string, string>, string, string] => [
      { 'config.hardware': HARDWARE.replace('noSharing', bus) },
      'remote.unsupported-disk',
      'Hard disk 1 of web01 is on a controller whose bus is shared',
    ]),
    [
      // As of a controller that this version does not know: one of both would be lost.
      {
        'config.hardware': HARDWARE.replace(
          '<controllerKey>1001</controllerKey><unitNumber>3</unitNumber>',
          '<controllerKey>7</controllerKey>',
        ),
      },
      'remote.unsupported-disk',
      'describes Hard disk 2 of web01 without an address of its own (scsi0:0)',
    ],
  ])('refuses %j', (changes, code, message) => {
    expect(attempt(changes)).toThrow(
      expect.objectContaining({ code, retryable: false, message: expect.stringContaining(message) }),
    );
  });
});

describe('refuseDatastore', () => {
  it.each(['VMFS', 'NFS', 'NFS41', 'OTHER', ''])('lets %j pass', (type) => {
    expect(() => refuseDatastore({ name: 'ds1', type, isAccessible: true }, 'datastore')).not.toThrow();
  });

  it.each([
    ['vsan', true],
    ['VVOL', true],
    ['VMFS', false],
  ])('refuses %s, accessible: %s', (type, isAccessible) => {
    expect(() => refuseDatastore({ name: 'ds1', type, isAccessible }, 'datastore')).toThrow(
      expect.objectContaining({ code: 'remote.datastore-unreadable' }),
    );
  });

  it('lets an export read what has no files, if it is accessible', () => {
    const refuse = (isAccessible: boolean) => () =>
      refuseDatastore({ name: 'ds1', type: 'vsan', isAccessible }, 'nfc');
    expect(refuse(true)).not.toThrow();
    expect(refuse(false)).toThrow(expect.objectContaining({ code: 'remote.datastore-unreadable' }));
  });
});

describe('refuseExport', () => {
  const capacity = '<capacityInKB>4096</capacityInKB><controllerKey>';
  const hardware = HARDWARE.replaceAll('<controllerKey>100', `${capacity}100`);
  const refuse = (text: string) => () => refuseExport(factsOf(vmContent({ 'config.hardware': text })));

  it('lets disks pass whose capacity is known', () => {
    expect(refuse(hardware)).not.toThrow();
  });

  it.each([
    [HARDWARE, 'does not tell the capacity of Hard disk 1 of web01'],
    [
      hardware.replace('<sharing>', '<diskMode>independent_nonpersistent</diskMode><sharing>'),
      'Hard disk 2 of web01 is independent',
    ],
  ])('refuses what an export cannot have', (text, message) => {
    expect(refuse(text)).toThrow(
      expect.objectContaining({ code: 'remote.unsupported-disk', message: expect.stringContaining(message) }),
    );
  });
});
