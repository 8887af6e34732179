import { describe, expect, it } from 'vitest';
import { slotOfKey } from '../../../../../../src/sources/remote/transports/vsphere/controllers.js';

describe('slotOfKey', () => {
  it.each([
    ['/vm-70/VirtualLsiLogicController0:0', 'scsi0:0'],
    ['/vm-70/VirtualLsiLogicSASController1:3', 'scsi1:3'],
    ['/16/ParaVirtualSCSIController3:15', 'scsi3:15'],
    ['/vm-1/VirtualAHCIController0:1', 'sata0:1'],
    ['/vm-1/VirtualIDEController1:0', 'ide1:0'],
    ['/vm-1/VirtualNVMEController0:2', 'nvme0:2'],
    ['/vm-1/VirtualUSBController0:0', null],
    ['/vm-1/nvram', null],
    ['/vm-1/constructor0:0', null],
    ['', null],
  ])('reads %s as %s', (key, slot) => {
    expect(slotOfKey(key)).toBe(slot);
  });
});
