import { describe, expect, it } from 'vitest';
import { addressesIn } from '../../../../src/families/linux/network/backend.js';
import { expectedNetwork } from '../../../../src/families/linux/network.js';
import { GuestTree } from '../../../../src/guest/tree.js';

function expectation(files: Record<string, string>) {
  const entries = Object.entries(files).map(([path, text]) => ({
    ...{ path, type: 'file' as const, mode: 0o644, uid: 0, gid: 0, size: text.length },
    content: Buffer.from(text),
  }));
  const directories = new Set(
    entries.flatMap(({ path }) =>
      path
        .split('/')
        .slice(1, -1)
        .map((_part, index, parts) => `/${parts.slice(0, index + 1).join('/')}`),
    ),
  );
  const parents = [...directories].map((path) => ({
    ...{ path, type: 'directory' as const, mode: 0o755, uid: 0, gid: 0, size: 0 },
  }));
  return expectedNetwork(new GuestTree([...parents, ...entries]));
}

const fixed = (...addresses: string[]) => ({ addresses, dhcp: false });
const DHCP = { addresses: [], dhcp: true };
const NM = '/etc/NetworkManager/system-connections/wired.nmconnection';

describe('expectedNetwork', () => {
  it.each<[string, Record<string, string>, ReturnType<typeof expectation>]>([
    ['nothing', {}, fixed()],
    [
      'ifupdown, fixed',
      {
        '/etc/network/interfaces':
          'auto lo ens192\niface lo inet loopback\niface ens192 inet static\n\taddress 10.1.2.3/24\n\tgateway 10.1.2.1\n' +
          'iface ens192 inet6 static\n\taddress fd00:0:0::0005/64\niface ens224 inet static\n\taddress 10.9.9.9/24\n',
      },
      fixed('10.1.2.3', 'fd00::5'),
    ],
    ['ifupdown, DHCP', { '/etc/network/interfaces': 'allow-hotplug eth0\niface eth0 inet dhcp\n' }, DHCP],
    [
      'netplan, block style',
      {
        '/etc/netplan/01.yaml':
          'network:\n  version: 2\n  ethernets:\n    ens192:\n      addresses:\n        - 10.1.2.3/24\n        - "fd00::5/64"\n' +
          '      nameservers:\n        addresses: [9.9.9.9]\n      dhcp4: no\n  wifis:\n    wl0:\n      dhcp4: true\n',
      },
      fixed('10.1.2.3', 'fd00::5'),
    ],
    [
      'netplan, sequence at its key’s own indent',
      {
        '/etc/netplan/01.yaml':
          'network:\n    ethernets:\n        ens192:\n            addresses:\n            - 10.1.2.3/24\n            routes:\n            - to: default\n              via: 10.1.2.1\n',
      },
      fixed('10.1.2.3'),
    ],
    [
      'netplan, flow style',
      { '/etc/netplan/01.yaml': 'network:\n  ethernets:\n    e: {addresses: [10.1.2.3/24], dhcp4: false}\n' },
      fixed('10.1.2.3'),
    ],
    [
      'netplan, DHCP',
      { '/etc/netplan/50-cloud-init.yaml': 'network:\n  ethernets:\n    ens192:\n      dhcp4: true\n' },
      DHCP,
    ],
    [
      'networkd, fixed',
      {
        '/etc/systemd/network/10.network':
          '[Match]\nName=ens192\n[Network]\nAddress=10.1.2.3/24\nGateway=10.1.2.1\n[Address]\nAddress=10.1.2.4/24\n',
        '/etc/systemd/network/20.network': '[Match]\nName=ve-*\n[Network]\nAddress=0.0.0.0/28\nDHCP=yes\n',
      },
      fixed('10.1.2.3', '10.1.2.4'),
    ],
    [
      'networkd, DHCP',
      { '/etc/systemd/network/10.network': '[Match]\nName=e*\n[Network]\nDHCP=ipv4\n' },
      DHCP,
    ],
    [
      'NetworkManager, fixed',
      {
        [NM]: '[connection]\ntype=ethernet\n[ipv4]\nmethod=manual\naddress1=10.1.2.3/24,10.1.2.1\n[ipv6]\nmethod=auto\n',
      },
      fixed('10.1.2.3'),
    ],
    ['NetworkManager, DHCP', { [NM]: '[connection]\ntype=ethernet\n[ipv4]\nmethod=auto\n' }, DHCP],
    [
      'NetworkManager, by hand or without wire',
      {
        [NM]: '[connection]\ntype=ethernet\nautoconnect=false\n[ipv4]\nmethod=auto\n',
        [`${NM}2`]: '[connection]\ntype=wifi\n[ipv4]\nmethod=auto\n',
      },
      fixed(),
    ],
    [
      'ifcfg of Red Hat',
      {
        '/etc/sysconfig/network-scripts/ifcfg-eth0':
          'DEVICE=eth0\nONBOOT=yes\nBOOTPROTO=none\nIPADDR=10.1.2.3\nPREFIX=24\nIPADDR1="10.1.2.4"\n',
        '/etc/sysconfig/network-scripts/ifcfg-eth1': 'DEVICE=eth1\nONBOOT=no\nIPADDR=10.9.9.9\n',
      },
      fixed('10.1.2.3', '10.1.2.4'),
    ],
    [
      'ifcfg of SUSE',
      { '/etc/sysconfig/network/ifcfg-eth0': "BOOTPROTO='static'\nIPADDR='10.1.2.3/24'\nSTARTMODE='auto'\n" },
      fixed('10.1.2.3'),
    ],
    [
      'ifcfg, DHCP',
      { '/etc/sysconfig/network-scripts/ifcfg-eth0': 'BOOTPROTO=dhcp\nIPADDR=10.9.9.9\n' },
      DHCP,
    ],
    [
      'wicked',
      {
        '/etc/wicked/ifconfig/eth0.xml':
          '<interface><name>eth0</name><ipv4:static><address><local>10.1.2.3/24</local></address></ipv4:static></interface>',
      },
      fixed('10.1.2.3'),
    ],
  ])('%s', (_name, files, expected) => {
    expect(expectation(files)).toEqual(expected);
  });

  it('leaves out what every host has', () => {
    expect(addressesIn('127.0.0.1/8, 169.254.1.1, ::1, fe80::1/64, 10.0.0.5/24 not-one 300.1.1.1')).toEqual([
      '10.0.0.5',
    ]);
  });
});
