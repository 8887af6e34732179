import { describe, expect, it } from 'vitest';
import { busOrder, expectedSlots, placeOfName, vmwarePlace } from '../../../../src/disk/base/vmware-slots.js';

describe('vmwarePlace', () => {
  it.each([
    [16, 0, 16],
    [32, 2, 0],
    [33, 2, 1],
    [160, 3, 0],
    [192, 11, 0],
    [224, 19, 0],
    [256, 27, 0],
    [1184, 4, 0],
    [1216, 12, 0],
    [2208, 5, 0],
  ])('of slot %i is %i:%i', (slot, bus, device) => {
    expect(vmwarePlace(slot)).toEqual({ bus, device });
  });

  it('is in the kernel’s order: PCI, then each bridge with its functions', () => {
    const slots = [1184, 224, 33, 192, 160];
    const sorted = slots.toSorted((a, b) => busOrder(vmwarePlace(a)) - busOrder(vmwarePlace(b)));
    expect(sorted).toEqual([33, 160, 1184, 192, 224]);
  });
});

describe('placeOfName', () => {
  it('is the slot’s for each of systemd’s names of a card', () => {
    for (const name of ['ens161', 'enp4s0']) expect(placeOfName(name)).toEqual(vmwarePlace(1184));
    for (const name of ['ens33', 'enp2s1', 'eno16777736']) expect(placeOfName(name)).toEqual(vmwarePlace(33));
    for (const name of ['ens192', 'enp11s0', 'eno33557248'])
      expect(placeOfName(name)).toEqual(vmwarePlace(192));
  });

  it.each(['eth0', 'eno1', 'lan0', 'ens', 'enp3s0f1', 'enx005056abcd01', 'ens99999'])(
    'is none of %s',
    (name) => {
      expect(placeOfName(name)).toBeNull();
    },
  );
});

describe('expectedSlots', () => {
  it('begin behind the disk controllers on PCI Express', () => {
    expect(expectedSlots(['vmxnet3', 'vmxnet3'], 0)).toEqual([160, 192]);
    expect(expectedSlots(['VmxNet3', 'E1000e', 'vmxnet3', 'vmxnet3'], 1)).toEqual([192, 224, 256, 1184]);
  });

  it('are not known for other cards', () => {
    expect(expectedSlots(['vmxnet3', 'e1000'], 0)).toEqual([]);
    expect(expectedSlots([null], 0)).toEqual([]);
  });
});
