import { describe, expect, it } from 'vitest';
import { machineNics, madeMac } from '../../../src/machine/nics.js';

const MAC = '00:50:56:ab:cd:01';
const MAC2 = '00:50:56:ab:cd:02';
const described = (mac: string | null) => ({ mac, network: 'LAN', model: 'vmxnet3' });
const name = 'web01';
const MADE = [madeMac(name, 0), madeMac(name, 1)];

describe('machineNics', () => {
  it('goes by the VM’s description where that has MACs, and makes one for a card without', () => {
    const nics = [described(null), described(MAC)];
    expect(machineNics({ name, nics }, { nics: [{ name: 'eth0', mac: null }] })).toEqual([
      described(MADE[0]!),
      described(MAC),
    ]);
  });

  it('keeps every card of a description without MACs, whatever the guest configures', () => {
    const nics = [described(null), described(null)];
    const plan = { nics: [{ name: 'ens192', mac: MAC }] };
    expect(machineNics({ name, nics }, plan).map(({ mac }) => mac)).toEqual([MAC, MADE[1]]);
    expect(machineNics({ name, nics }, { nics: [] }).map(({ mac }) => mac)).toEqual(MADE);
    // The second card’s own is not given to the first.
    const second = { nics: [{ name: 'ens224', mac: MADE[1]! }] };
    expect(machineNics({ name, nics }, second).map(({ mac }) => mac)).toEqual(MADE);
  });

  it('makes MACs that are the same each time, and others for another VM', () => {
    expect(MADE[0]).toMatch(/^52:54:00(:[0-9a-f]{2}){3}$/);
    expect(new Set([...MADE, madeMac('web02', 0)]).size).toBe(3);
    expect(madeMac(name, 0)).toBe(MADE[0]);
  });

  it('makes one in place of what libvirt refuses', () => {
    const nics = [described('01:00:5e:00:00:01'), described(MAC)];
    expect(machineNics({ name, nics }, null).map(({ mac }) => mac)).toEqual([MADE[0], MAC]);
  });

  it('puts the cards of a guest with the kernel’s names in the order of VMware’s buses, and no others', () => {
    const nics = [
      { ...described(MAC), pci_slot: 192 },
      { ...described(MAC2), pci_slot: 1184 },
    ];
    const orderFor = (bound: string) =>
      machineNics({ name, nics }, { nics: [{ name: bound, mac: MAC }] }).map(({ mac }) => mac);
    expect(orderFor('eth0')).toEqual([MAC2, MAC]);
    expect(orderFor('ens192')).toEqual([MAC, MAC2]);
    const mixed = [nics[0]!, { ...nics[1]!, model: 'e1000' }];
    expect(
      machineNics({ name, nics: mixed }, { nics: [{ name: 'eth0', mac: MAC }] }).map(({ mac }) => mac),
    ).toEqual([MAC, MAC2]);
  });

  it('goes by the guest without a description, and gives one card at least', () => {
    const plan = { nics: [MAC, null].map((mac, index) => ({ name: `eth${index}`, mac })) };
    expect(machineNics(null, plan).map(({ mac }) => mac)).toEqual([MAC, null]);
    expect(machineNics(null, null)).toHaveLength(1);
  });
});
