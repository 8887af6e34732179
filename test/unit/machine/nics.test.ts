import { describe, expect, it } from 'vitest';
import { machineNics, madeMac } from '../../../src/machine/nics.js';

const MAC = '00:50:56:ab:cd:01';
const MAC2 = '00:50:56:ab:cd:02';
const described = (mac: string | null) => ({ mac, network: 'LAN', model: 'vmxnet3' });
const VM = 'web01';
const MADE = [madeMac(VM, 0), madeMac(VM, 1)];

describe('machineNics', () => {
  it('goes by the VM’s description where that has MACs, and makes one for a card without', () => {
    const nics = [described(null), described(MAC)];
    expect(machineNics(VM, { nics }, { nics: [{ name: 'eth0', mac: null }] })).toEqual([
      described(MADE[0]!),
      described(MAC),
    ]);
  });

  it('keeps every card of a description without MACs, whatever the guest configures', () => {
    const nics = [described(null), described(null)];
    const plan = { nics: [{ name: 'ens192', mac: MAC }] };
    expect(machineNics(VM, { nics }, plan).map(({ mac }) => mac)).toEqual([MAC, MADE[1]]);
    expect(machineNics(VM, { nics }, { nics: [] }).map(({ mac }) => mac)).toEqual(MADE);
    // The second card’s own is not given to the first.
    const second = { nics: [{ name: 'ens224', mac: MADE[1]! }] };
    expect(machineNics(VM, { nics }, second).map(({ mac }) => mac)).toEqual(MADE);
  });

  it('makes MACs that are the same each time, and others for another VM', () => {
    expect(MADE[0]).toMatch(/^52:54:00(:[0-9a-f]{2}){3}$/);
    const nics = [described(null), described(null)];
    const copy = machineNics('web02', { nics }, null).map(({ mac }) => mac);
    expect(new Set([...MADE, ...copy]).size).toBe(4);
    expect(madeMac(VM, 0)).toBe(MADE[0]);
  });

  it('makes one in place of what libvirt refuses', () => {
    const nics = [described('01:00:5e:00:00:01'), described(MAC)];
    expect(machineNics(VM, { nics }, null).map(({ mac }) => mac)).toEqual([MADE[0], MAC]);
  });

  it('puts the cards of a guest with the kernel’s names in the order of VMware’s buses, and no others', () => {
    const nics = [
      { ...described(MAC), pci_slot: 192 },
      { ...described(MAC2), pci_slot: 1184 },
    ];
    const orderFor = (bound: string) =>
      machineNics(VM, { nics }, { nics: [{ name: bound, mac: MAC }] }).map(({ mac }) => mac);
    expect(orderFor('eth0')).toEqual([MAC2, MAC]);
    expect(orderFor('ens192')).toEqual([MAC, MAC2]);
    const mixed = [nics[0]!, { ...nics[1]!, model: 'e1000' }];
    expect(
      machineNics(VM, { nics: mixed }, { nics: [{ name: 'eth0', mac: MAC }] }).map(({ mac }) => mac),
    ).toEqual([MAC, MAC2]);
  });

  it('goes by the guest without a description, and gives one card at least', () => {
    const plan = { nics: [MAC, null].map((mac, index) => ({ name: `eth${index}`, mac })) };
    expect(machineNics(VM, null, plan).map(({ mac }) => mac)).toEqual([MAC, null]);
    expect(machineNics(VM, null, null)).toHaveLength(1);
  });
});
