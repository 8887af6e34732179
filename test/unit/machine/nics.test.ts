import { describe, expect, it } from 'vitest';
import { machineNics } from '../../../src/machine/nics.js';

const MAC = '00:50:56:ab:cd:01';
const described = (mac: string | null) => ({ mac, network: 'LAN', model: 'vmxnet3' });

describe('machineNics', () => {
  it('goes by the VM’s description where that has MACs', () => {
    const nics = [described(null), described(MAC)];
    expect(machineNics({ nics }, { nics: [{ name: 'eth0', mac: null }] })).toEqual(nics);
  });

  it('keeps every card of a description without MACs, whatever the guest configures', () => {
    const nics = [described(null), described(null)];
    const plan = { nics: [{ name: 'ens192', mac: MAC }] };
    expect(machineNics({ nics }, plan).map(({ mac }) => mac)).toEqual([MAC, null]);
    expect(machineNics({ nics }, { nics: [] }).map(({ mac }) => mac)).toEqual([null, null]);
  });

  it('goes by the guest without a description, and gives one card at least', () => {
    const plan = { nics: [MAC, null].map((mac, index) => ({ name: `eth${index}`, mac })) };
    expect(machineNics(null, plan).map(({ mac }) => mac)).toEqual([MAC, null]);
    expect(machineNics(null, null)).toHaveLength(1);
  });
});
