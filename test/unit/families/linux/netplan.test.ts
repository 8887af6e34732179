import { describe, expect, it } from 'vitest';
import { expectedNetwork, network } from '../../../../src/families/linux/network.js';
import { applyOperations } from '../../../../src/operations/apply-operations.js';
import { guestOf, nic, textAfter } from '../guests.js';

const PATH = '/etc/netplan/01.yaml';
const MAC = '00:50:56:ab:cd:01';
const HEAD = 'network:\n  version: 2\n  ethernets:\n';

function plan(text: string, network_: 'keep' | 'dhcp' = 'keep') {
  const files = { [PATH]: text, '/usr/lib/systemd/system/systemd-network-generator.service': null };
  const guest = guestOf({ files, options: { network: network_ }, hardware: { nics: [nic(MAC)] } });
  const { operations, warnings, nics } = network.plan(guest);
  expect(network.plan(applyOperations(guest, operations)).operations).toEqual([]);
  const after = operations.some(
    ({ op, ...rest }) => op === 'write_file' && 'path' in rest && rest.path === PATH,
  )
    ? textAfter(operations, PATH)
    : text;
  return { after, warnings, names: nics?.map(({ name }) => name), codes: warnings.map(({ code }) => code) };
}

function expectations(text: string) {
  return expectedNetwork(guestOf({ files: { [PATH]: text } }).tree);
}

describe('a driver match that is needed no more', () => {
  it.each<[string, string, string]>([
    [
      'goes with its own comment, and nothing else changes',
      `# head\n${HEAD}    lan:   # the LAN\n      match:\n        macaddress: "${MAC}"  # card 1\n        driver: vmxnet3  # VMware\n          # deeper: its own\n        # kept\n      dhcp4: true\n`,
      `# head\n${HEAD}    lan:   # the LAN\n      match:\n        macaddress: "${MAC}"  # card 1\n        # kept\n      dhcp4: true\n`,
    ],
    [
      'goes where lines end in CR LF, tabs stand before comments and keys are quoted',
      `"network":\r\n  'ethernets':\r\n    lan:\r\n      match:\t# tab\r\n        "driver": 'vmxnet3'\r\n        macaddress: ${MAC}\t# tab\r\n`,
      `"network":\r\n  'ethernets':\r\n    lan:\r\n      match:\t# tab\r\n        macaddress: ${MAC}\t# tab\r\n`,
    ],
    [
      'goes with all lines of a sequence or a multi-line scalar',
      `${HEAD}    a:\n      match:\n        driver:\n        - vmxnet3\n        - e1000\n        macaddress: ${MAC}\n    b:\n      match:\n        macaddress: 00:50:56:ab:cd:02\n        driver: >-\n          vmxnet3\n`,
      `${HEAD}    a:\n      match:\n        macaddress: ${MAC}\n    b:\n      match:\n        macaddress: 00:50:56:ab:cd:02\n`,
    ],
    [
      'goes at the end of a file without a line end',
      `${HEAD}    lan:\n      match:\n        name: ens*\n        driver: vmxnet3`,
      `${HEAD}    lan:\n      match:\n        name: ens*\n`,
    ],
    [
      'is changed once where an alias stands for its mapping',
      `${HEAD}    a:\n      match: &m\n        macaddress: ${MAC}\n        driver: vmxnet3\n    b:\n      match: *m\n`,
      `${HEAD}    a:\n      match: &m\n        macaddress: ${MAC}\n    b:\n      match: *m\n`,
    ],
    [
      'is changed where it is an alias, and kept where it is the anchor',
      `${HEAD}    a:\n      match:\n        macaddress: ${MAC}\n        driver: &d vmxnet3 # old\n    b:\n      match:\n        name: ens*\n        driver: *d\n`,
      `${HEAD}    a:\n      match:\n        macaddress: ${MAC}\n        driver: &d "?*" # old\n    b:\n      match:\n        name: ens*\n`,
    ],
    [
      'is changed in flow style over several lines',
      `${HEAD}    a: {match: {macaddress: "${MAC}",  # card 1\n      driver: vmxnet3,\n      }, dhcp4: true}\n`,
      `${HEAD}    a: {match: {macaddress: "${MAC}",  # card 1\n      driver: "?*",\n      }, dhcp4: true}\n`,
    ],
    [
      'is changed in both places where it is written twice',
      `${HEAD}    a:\n      match:\n        macaddress: ${MAC}\n        driver: e1000\n        driver: vmxnet3\n`,
      `${HEAD}    a:\n      match:\n        macaddress: ${MAC}\n        driver: "?*"\n        driver: "?*"\n`,
    ],
    [
      'leaves no empty mapping, which netplan refuses',
      `${HEAD}    a:\n      match:\n        driver: vmxnet3\n      match:\n        macaddress: ${MAC}\n`,
      `${HEAD}    a:\n      match:\n        driver: "?*"\n      match:\n        macaddress: ${MAC}\n`,
    ],
    [
      'is only looked for in the first document, as netplan does',
      `---\n${HEAD}    a:\n      match: {name: ens*, driver: vmxnet3}\n---\n${HEAD}    b:\n      match: {name: ens*, driver: vmxnet3}\n`,
      `---\n${HEAD}    a:\n      match: {name: ens*, driver: "?*"}\n---\n${HEAD}    b:\n      match: {name: ens*, driver: vmxnet3}\n`,
    ],
  ])('%s', (_, before, after) => {
    const planned = plan(before);
    expect(planned.after).toBe(after);
    expect(planned.codes).not.toContain('network.unreadable');
  });

  it('stays where it names the new driver too', () => {
    const text = `${HEAD}    a:\n      match:\n        driver: [vmxnet3, virtio_net]\n      dhcp4: true\n`;
    expect(plan(text).after).toBe(text);
  });

  it('is widened where nothing else tells the card, in any form', () => {
    const yaml = (driver: string) =>
      `${HEAD}    a:\n      match:\n        driver:${driver} # why\n      set-name: lan0\n`;
    expect(plan(yaml(' vmxnet3')).after).toBe(yaml(' "?*"'));
    expect(plan(yaml(' [vmxnet3, e1000]')).after).toBe(yaml(' "?*"'));
    expect(plan(yaml('\n        - vmxnet3\n        - e1000')).after).toBe(yaml(' "?*"'));
  });
});

describe('a netplan file that is not edited', () => {
  const driver = '      match: {name: ens*, driver: vmxnet3}\n';
  it.each<[string, string, RegExp]>([
    [
      'a merge key',
      `${HEAD}    a: &a\n${driver}    b:\n      <<: *a\n`,
      /01\.yaml was not changed: .*merge key/,
    ],
    ['an alias of nothing', `${HEAD}    a:\n${driver}      routes: *none\n`, /\*none has no anchor/],
    ['a tab for an indent', `${HEAD}    a:\n${driver}\tdhcp4: true\n`, /line 6, column 1 is not valid YAML/],
    ['what is no YAML', `${HEAD}    a:\n${driver}      x: [1, 2\n`, /is not valid YAML/],
    ['more than it can be', `${HEAD}    a:\n${driver}${'# '.repeat(1 << 16)}\n`, /longer than 128 KiB/],
    [
      'a bomb of aliases',
      `${HEAD}    a: &a\n${driver}${Array.from({ length: 101 }, (_, i) => `    b${i}: *a\n`).join('')}`,
      /more than 100 aliases/,
    ],
    ['mappings without end', `${HEAD}    a: ${'{a: '.repeat(20_000)}\n`, /is not valid YAML/],
  ])('with %s stays as it is, with a warning', (_, text, message) => {
    const { after, warnings } = plan(text);
    expect(after).toBe(text);
    const expected = { code: 'network.unreadable', message: expect.stringMatching(message) };
    expect(warnings).toContainEqual(expect.objectContaining(expected));
  });

  it('is still read for its names and addresses', () => {
    const text = `${HEAD}    ens192:\n      addresses: [10.1.2.3/24]\n      <<: {mtu: 9000}\n`;
    expect(plan(text).names).toEqual(['ens192']);
    expect(expectations(text)).toEqual({ addresses: ['10.1.2.3'], dhcp: false });
  });
});

describe('fix.network = "dhcp" in netplan', () => {
  it.each<[string, string, string]>([
    [
      'flow style',
      `${HEAD}    ens192: {addresses: [10.0.0.5/24], gateway4: 10.0.0.1, mtu: 1450} # LAN\n`,
      `${HEAD}    ens192: {dhcp4: true, mtu: 1450} # LAN\n`,
    ],
    [
      'flow style with the addresses in the middle and static keys at both ends',
      `${HEAD}    ens192: {gateway4: 10.0.0.1, mtu: 1450, addresses: [10.0.0.5/24], routes: [], dhcp4: no}\n`,
      `${HEAD}    ens192: {mtu: 1450, dhcp4: true}\n`,
    ],
    [
      'flow style over several lines',
      `${HEAD}    ens192: {\n      gateway4: 10.0.0.1,\n      addresses: [\n        10.0.0.5/24, # first\n        10.0.0.6/24\n      ],\n      nameservers: {addresses: [10.0.0.1]},\n      }\n`,
      `${HEAD}    ens192: {\n      dhcp4: true,\n      }\n`,
    ],
    [
      'block style with comments, blank lines and mappings in sequences',
      `${HEAD}    ens192:\n      # ours\n      addresses: # two\n        - 10.0.0.5/24\n\n        - 10.0.0.6/24:\n            label: "x:y"\n        # - 10.0.0.7/24\n      # gateway\n      gateway4: 10.0.0.1\n      mtu: 1450\n      nameservers:\n        addresses: [10.0.0.1]\n`,
      `${HEAD}    ens192:\n      # ours\n      dhcp4: true\n        # - 10.0.0.7/24\n      # gateway\n      mtu: 1450\n`,
    ],
    [
      'CR LF',
      `network:\r\n  ethernets:\r\n    ens192:\r\n      addresses:\r\n      - 10.0.0.5/24\r\n      gateway4: 10.0.0.1\r\n      mtu: 1450\r\n`,
      `network:\r\n  ethernets:\r\n    ens192:\r\n      dhcp4: true\r\n      mtu: 1450\r\n`,
    ],
    [
      'an alias for the whole interface',
      `${HEAD}    ens192: &a\n      addresses: [10.0.0.5/24]\n      gateway4: 10.0.0.1\n    ens224: *a\n`,
      `${HEAD}    ens192: &a\n      dhcp4: true\n    ens224: *a\n`,
    ],
  ])('rewrites %s', (_, before, after) => {
    expect(plan(before, 'dhcp').after).toBe(after);
  });

  it.each([
    ['a merge key', `${HEAD}    ens192:\n      addresses: [10.0.0.5/24]\n      <<: {mtu: 9000}\n`],
    ['what is no YAML', `${HEAD}    ens192:\n      addresses: [10.0.0.5/24]\n    ens224: [\n`],
    [
      'an anchor that is needed elsewhere',
      `${HEAD}    ens192:\n      addresses: &a [10.0.0.5/24]\n  bridges:\n    br0:\n      mtu: 9000\n      nameservers: {addresses: *a}\n`,
    ],
    ['an explicit key', `${HEAD}    ens192:\n      ? addresses\n      : [10.0.0.5/24]\n`],
  ])('refuses %s', (_, text) => {
    expect(() => plan(text, 'dhcp')).toThrowError(expect.objectContaining({ code: 'plan.network-dhcp' }));
  });
});
