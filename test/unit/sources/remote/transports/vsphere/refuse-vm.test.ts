import { describe, expect, it } from 'vitest';
import {
  refuseDatastore,
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
    expect(() => refuseDatastore({ name: 'ds1', type, isAccessible: true })).not.toThrow();
  });

  it.each([
    ['vsan', true],
    ['VVOL', true],
    ['VMFS', false],
  ])('refuses %s, accessible: %s', (type, isAccessible) => {
    expect(() => refuseDatastore({ name: 'ds1', type, isAccessible })).toThrow(
      expect.objectContaining({ code: 'remote.datastore-unreadable' }),
    );
  });
});
