import { describe, expect, it } from 'vitest';
import { machineNics } from '../../../../src/machine/nics.js';
import type { Nic } from '../../../../src/model/hardware.js';
import { dword, multiSz, sz } from '../../guest/registry/make-hive.js';
import { guestOf } from '../guests.js';
import type { WindowsRecipe } from './make-windows.js';
import { planWindows } from './plan-windows.js';

type Adapter = NonNullable<WindowsRecipe['adapters']>[number];

const STATIC = (address: string) => [
  dword('EnableDHCP', 0),
  multiSz('IPAddress', [address]),
  multiSz('SubnetMask', ['255.255.255.0']),
];
const guid = (number: number) => `{A0000000-0000-4000-8000-00000000000${number}}`;
/** A vmxnet3, whose instance has the address 00:50:56:01:02:0N. */
const vmxnet3 = (number: number, tcpip: Adapter['tcpip']): Adapter => ({
  ...{ guid: guid(number), name: `Ethernet${number}`, tcpip },
  device: `PCI\\VEN_15AD&DEV_07B0&SUBSYS_07B015AD&REV_01\\FF5650000${number}0201FE00`,
});
const macOf = (number: number) => `00:50:56:01:02:0${number}`;
/** An e1000, of which only the place on the bus is known. */
const e1000 = (number: number, tcpip: Adapter['tcpip']): Adapter => ({
  ...{ guid: guid(number), name: `Ethernet${number}`, tcpip },
  device: `PCI\\VEN_8086&DEV_100F&SUBSYS_075015AD&REV_01\\4&B70F118&0&${number}888`,
});
const nic = (mac: string | null): Nic => ({ mac, network: null, model: null });

async function planned(adapters: readonly Adapter[], nics: readonly Nic[], system = {}) {
  const recipe: WindowsRecipe = {
    ...{ build: 17763, product: 'Windows Server 2019 Standard', edition: 'ServerStandard' },
    ...{ installation: 'Server', machine: 'amd64', firmware: 'bios', adapters, system },
  };
  const hardware = { ...guestOf({}).hardware, nics: [...nics] };
  const { guest, plan } = await planWindows(recipe, { nics }, {}, null, { hardware });
  const [file] = plan.operations.filter(({ op }) => op === 'first_boot');
  const text = file?.op === 'first_boot' ? file.text : '';
  return {
    nics: plan.nics.map(({ mac }) => mac),
    /** Of the new VM. */
    cards: machineNics(guest.vm, hardware, plan).map(({ mac }) => mac),
    steps: [...text.matchAll(/\tmac=(\S+)[^\n]*\taddress=([0-9.]+)/g)].map(([, mac, address]) => [
      mac,
      address,
    ]),
    codes: plan.warnings.map(({ code }) => code),
  };
}

describe('static addresses', () => {
  it('go to the card of their adapter where the description has cards without addresses, and where it has none', async () => {
    for (const nics of [[nic(null)], []]) {
      const { cards, steps, codes } = await planned([vmxnet3(1, STATIC('10.0.0.5'))], nics);
      expect(cards).toEqual([macOf(1)]);
      expect(steps).toEqual([[macOf(1), '10.0.0.5']]);
      expect(codes).not.toContain('devices.windows-adapter-unknown');
    }
  });

  it('of the only adapter of unknown address go to the only card that is left', async () => {
    for (const nics of [[nic(null)], []]) {
      const { cards, steps, codes } = await planned([e1000(1, STATIC('10.0.0.5'))], nics);
      expect(cards).toEqual([expect.stringMatching(/^52:54:00:/)]);
      expect(steps).toEqual([[cards[0], '10.0.0.5']]);
      expect(codes).not.toContain('devices.windows-adapter-unknown');
    }
    const both = [vmxnet3(1, STATIC('10.0.0.5')), e1000(2, STATIC('10.0.1.5'))];
    const { cards, steps } = await planned(both, [nic(null), nic(null)]);
    expect(cards[0]).toBe(macOf(1));
    expect(steps).toEqual([
      [macOf(1), '10.0.0.5'],
      [cards[1], '10.0.1.5'],
    ]);
  });

  it('of two adapters of unknown address go to no card, with a warning', async () => {
    const both = [e1000(1, STATIC('10.0.0.5')), e1000(2, STATIC('10.0.1.5'))];
    const { steps, codes } = await planned(both, [nic(null), nic(null)]);
    expect(steps).toEqual([]);
    expect(codes).toContain('devices.windows-adapter-unknown');
  });
});

describe('adapters that were removed', () => {
  it('are no more cards than the description has, and those with addresses come first', async () => {
    const { nics, cards, steps } = await planned(
      [vmxnet3(1, [dword('EnableDHCP', 1)]), vmxnet3(2, STATIC('10.0.0.5'))],
      [nic(null)],
    );
    expect(nics).toEqual([macOf(2)]);
    expect(cards).toEqual([macOf(2)]);
    expect(steps).toEqual([[macOf(2), '10.0.0.5']]);
  });

  it('give way to those that the description knows', async () => {
    const { nics } = await planned(
      [vmxnet3(1, STATIC('10.0.0.4')), vmxnet3(2, [dword('EnableDHCP', 1)])],
      [nic(macOf(2).toUpperCase())],
    );
    expect(nics).toEqual([macOf(2)]);
  });

  it('and have no driver any more are no cards', async () => {
    // The connection stays under Control\Network, its driver's key is another adapter's now.
    const ghost = vmxnet3(1, []);
    const real = vmxnet3(2, STATIC('10.0.0.5'));
    const network = '{4D36E972-E325-11CE-BFC1-08002BE10318}';
    const key = `@\\Control\\Network\\${network}\\${ghost.guid}\\Connection`;
    const system = { [key]: [sz('Name', ghost.name), sz('PnpInstanceID', ghost.device)] };
    const { nics, cards } = await planned([real], [], system);
    expect(nics).toEqual([macOf(2)]);
    expect(cards).toEqual([macOf(2)]);
  });
});
