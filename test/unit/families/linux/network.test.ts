import { describe, expect, it } from 'vitest';
import { network } from '../../../../src/families/linux/network.js';
import { machineNics, madeMac } from '../../../../src/machine/nics.js';
import { applyOperations } from '../../../../src/operations/apply-operations.js';
import { changedLines, type Files, type GuestRecipe, guestOf, nic, pathsOf, textAfter } from '../guests.js';

const MAC = '00:50:56:ab:cd:01';
const MAC2 = '00:50:56:ab:cd:02';
const MODERN: Files = { '/usr/lib/systemd/system/systemd-network-generator.service': null };
const LINK = '/etc/systemd/network/10-hyper2kvm-ens192.link';
const linkText = (name: string, condition: string) =>
  `# Written by hyper2kvm: keeps the name of this network card.\n[Match]\n${condition}\n\n[Link]\nName=${name}\n`;
const INTERFACES =
  'auto lo\niface lo inet loopback\n\nallow-hotplug ens192\niface ens192 inet static\n\taddress 10.0.0.5/24\n\tgateway 10.0.0.1\n';

function plan(files: Files, more: GuestRecipe = {}) {
  const guest = guestOf({ files: { ...MODERN, ...files }, ...more });
  const result = network.plan(guest);
  // Every case is one of idempotence too.
  expect(network.plan(applyOperations(guest, result.operations)).operations).toEqual([]);
  return { guest, ...result };
}

describe('names of network cards', () => {
  it('binds the MAC that the VM’s description gives to the configured name', () => {
    const { operations, nics, warnings } = plan(
      { '/etc/network/interfaces': INTERFACES },
      { hardware: { nics: [nic('00:50:56:AB:CD:01')] } },
    );
    expect(pathsOf(operations)).toEqual([LINK]);
    expect(textAfter(operations, LINK)).toBe(linkText('ens192', `MACAddress=${MAC}`));
    expect(nics).toEqual([{ name: 'ens192', mac: MAC }]);
    expect(warnings).toEqual([]);
  });

  it('takes the MAC from a udev rule and drops the rule’s VMware driver', () => {
    const rules = '/etc/udev/rules.d/70-persistent-net.rules';
    const text = `# PCI device 0x15ad:0x07b0 (vmxnet3)\nSUBSYSTEM=="net", ACTION=="add", DRIVERS=="vmxnet3", ATTR{address}=="${MAC}", ATTR{type}=="1", NAME="ens192"\n`;
    const { operations, nics } = plan({ '/etc/network/interfaces': INTERFACES, [rules]: text });
    expect(textAfter(operations, rules)).toBe(text.replace('DRIVERS=="vmxnet3"', 'DRIVERS=="?*"'));
    expect(textAfter(operations, LINK)).toBe(linkText('ens192', `MACAddress=${MAC}`));
    expect(nics).toEqual([{ name: 'ens192', mac: MAC }]);
  });

  it('frees a .link file of VMware’s bus address and driver, and needs no other', () => {
    const own = '/etc/systemd/network/10-ens192.link';
    const text = `[Match]\nMACAddress=${MAC}\nPath=pci-0000:0b:00.0\nDriver=vmxnet3\n\n[Link]\nName=ens192\n`;
    const { operations, nics } = plan({
      [own]: text,
      '/etc/systemd/network/20.network': '[Match]\nName=ens192\n\n[Network]\nDHCP=ipv4\n',
    });
    expect(pathsOf(operations)).toEqual([own]);
    expect(textAfter(operations, own)).toBe(`[Match]\nMACAddress=${MAC}\n\n[Link]\nName=ens192\n`);
    expect(nics).toEqual([{ name: 'ens192', mac: MAC }]);
  });

  it('goes by the driver when there is one interface and no MAC anywhere', () => {
    const { operations, nics } = plan({ '/etc/network/interfaces': INTERFACES });
    expect(textAfter(operations, LINK)).toBe(linkText('ens192', 'Driver=virtio_net'));
    expect(nics).toEqual([{ name: 'ens192', mac: null }]);
  });

  it('binds the names of a VM without a description to MACs made for it, in their order, and says so', () => {
    const text = `${INTERFACES}auto ens160\niface ens160 inet dhcp\n`;
    const { operations, nics, warnings } = plan({ '/etc/network/interfaces': text });
    const [first, second] = [0, 1].map((index) => madeMac('guest', index));
    expect(nics).toEqual([
      { name: 'ens160', mac: first },
      { name: 'ens192', mac: second },
    ]);
    expect(textAfter(operations, LINK)).toBe(linkText('ens192', `MACAddress=${second}`));
    expect(warnings).toMatchObject([{ code: 'network.order' }]);
    // What the domain has is what the names are bound to.
    expect(machineNics('guest', guestOf({}).hardware, { nics: nics ?? [] }).map(({ mac }) => mac)).toEqual([
      first,
      second,
    ]);
  });

  it('gives several NICs to the names in VMware’s order of slots, and says that it is a guess', () => {
    const text = 'iface ens224 inet dhcp\niface ens192 inet dhcp\n';
    const { nics, warnings } = plan(
      { '/etc/network/interfaces': text },
      { hardware: { nics: [nic(MAC), nic(MAC2)] } },
    );
    expect(nics).toEqual([
      { name: 'ens224', mac: MAC2 },
      { name: 'ens192', mac: MAC },
    ]);
    expect(warnings).toMatchObject([{ code: 'network.order' }]);
  });

  describe('of a VM with more cards than the guest configures', () => {
    const card = (mac: string | null, pci_slot?: number, model = 'vmxnet3') => ({
      ...nic(mac),
      model,
      ...(pci_slot === undefined ? {} : { pci_slot }),
    });
    const planOf = (text: string, nics: ReturnType<typeof card>[]) =>
      plan({ '/etc/network/interfaces': text }, { hardware: { nics } });
    const ETH0 = 'iface eth0 inet dhcp\n';

    it('are bound to the card whose slot VMware named them by, in whatever order the cards stand', () => {
      const { operations, nics, warnings } = planOf(INTERFACES, [card(MAC, 160), card(MAC2, 192)]);
      expect(textAfter(operations, LINK)).toBe(linkText('ens192', `MACAddress=${MAC2}`));
      expect(nics).toEqual([{ name: 'ens192', mac: MAC2 }]);
      expect(warnings).toEqual([]);
    });

    it.each([
      ['no slot is known', [card(MAC), card(MAC2)]],
      ['no card is in the slot', [card(MAC, 160), card(MAC2, 224)]],
    ])('are not bound, with a warning, where %s', (_name, cards) => {
      const { operations, nics, warnings } = planOf(INTERFACES, cards);
      expect(operations).toEqual([]);
      expect(nics).toEqual([{ name: 'ens192', mac: null }]);
      expect(warnings).toMatchObject([
        { code: 'network.unknown-mac', message: expect.stringContaining('2 network cards') },
      ]);
    });

    it.each([
      ['ens161', 1184],
      ['enp4s0', 1184],
      ['enp11s0', 192],
      ['ens33', 33],
      ['enp2s1', 33],
      ['eno16777736', 33],
      ['eno33557248', 192],
      ['eno16777984', 160],
      ['ens225', 1248],
      ['enp27s0', 256],
    ])('are told by %s, the card in slot %i', (name, slot) => {
      const { nics, warnings } = planOf(`iface ${name} inet dhcp\n`, [card(MAC, 224), card(MAC2, slot)]);
      expect(nics).toEqual([{ name, mac: MAC2 }]);
      expect(warnings).toEqual([]);
    });

    it('are told by the slot that VMware would have given, as a guess', () => {
      const cards = [card(MAC), card(MAC2)].map((one, index) => ({ ...one, likely_slot: 192 + 32 * index }));
      const { nics, warnings } = planOf(INTERFACES, cards);
      expect(nics).toEqual([{ name: 'ens192', mac: MAC }]);
      expect(warnings).toMatchObject([{ code: 'network.order' }]);
    });

    it.each([
      ['enp0s3', MAC],
      ['enp0s8', MAC2],
      ['eth1', MAC2],
    ])('are told by the order of VirtualBox and Hyper-V where the name is %s', (name, mac) => {
      const { nics, warnings } = planOf(`iface ${name} inet dhcp\n`, [card(MAC), card(MAC2)]);
      expect(nics).toEqual([{ name, mac }]);
      expect(warnings).toMatchObject([{ code: 'network.order' }]);
    });

    it('get the MACs that the domain gives them where the description has none', () => {
      const cards = [card(null, 160), card(null, 192)];
      const { operations, nics, warnings } = planOf(INTERFACES, cards);
      const [, second] = machineNics('guest', { nics: cards }, { nics: nics ?? [] });
      expect(textAfter(operations, LINK)).toBe(linkText('ens192', `MACAddress=${second?.mac}`));
      expect(nics).toEqual([{ name: 'ens192', mac: second?.mac }]);
      expect(warnings).toEqual([]);
    });

    it('say that the kernel’s command line asks for the kernel’s names', () => {
      const grub = { '/boot/grub/grub.cfg': '\tlinux /vmlinuz root=UUID=r ro net.ifnames=0 biosdevname=0\n' };
      const { warnings } = plan(
        { '/etc/network/interfaces': ETH0, ...grub },
        { hardware: { nics: [card(MAC, 192), card(MAC2, 160)] } },
      );
      expect(warnings).toMatchObject([{ message: expect.stringContaining('net.ifnames=0') }]);
    });

    it('follow the slots’ order where the kernel gave them, and say that it is a guess', () => {
      const { nics, warnings } = planOf(ETH0, [card(MAC, 192), card(MAC2, 160)]);
      expect(nics).toEqual([{ name: 'eth0', mac: MAC2 }]);
      expect(warnings).toMatchObject([{ code: 'network.order' }]);
      expect(planOf(ETH0, [card(MAC, 192), card(MAC2, 33, 'e1000')]).warnings).toMatchObject([
        { code: 'network.unknown-mac' },
      ]);
    });

    it('that all have a slot are bound without a guess; a name of another slot is one', () => {
      const text = 'iface ens224 inet dhcp\niface ens192 inet dhcp\n';
      const sure = planOf(text, [card(MAC, 224), card(MAC2, 192)]);
      expect(sure.nics).toEqual([
        { name: 'ens224', mac: MAC },
        { name: 'ens192', mac: MAC2 },
      ]);
      expect(sure.warnings).toEqual([]);
      const { warnings } = planOf(text, [card(MAC, 160), card(MAC2, 192)]);
      expect(warnings).toMatchObject([{ code: 'network.order', message: expect.stringContaining('ens224') }]);
    });

    it.each([
      ['/etc/systemd/network/a.network', '[Match]\nDriver=vmxnet3\n\n[Network]\nDHCP=yes\n'],
      [
        '/etc/netplan/a.yaml',
        'network:\n  ethernets:\n    lan:\n      match: {driver: vmxnet3}\n      dhcp4: true\n',
      ],
      [
        '/etc/NetworkManager/system-connections/a.nmconnection',
        '[connection]\ntype=ethernet\n\n[match]\ndriver=vmxnet3;\n',
      ],
    ])('and that one driver no longer picks are warned of: %s', (path, text) => {
      const mixed = { nics: [card(MAC, 160), card(MAC2, 32, 'e1000')] };
      expect(plan({ [path]: text }, { hardware: mixed }).warnings).toMatchObject([
        { code: 'network.pinned', message: expect.stringContaining(path) },
      ]);
      const same = { nics: [card(MAC, 160), card(MAC2, 192)] };
      expect(plan({ [path]: text }, { hardware: same }).warnings).toEqual([]);
    });
  });

  it('uses a rule where there is no systemd, both where systemd is old', () => {
    const rules = '/etc/udev/rules.d/70-hyper2kvm-net.rules';
    const files = { '/usr/lib/systemd/system/systemd-network-generator.service': null };
    const recipe = {
      files: { '/etc/network/interfaces': INTERFACES, '/etc/udev/udev.conf': '' },
      hardware: { nics: [nic(MAC)] },
    };
    const upstart = network.plan(guestOf({ ...recipe, identity: { init_system: 'upstart' } }));
    expect(pathsOf(upstart.operations)).toEqual([rules]);
    expect(textAfter(upstart.operations, rules)).toContain(
      `DRIVERS=="?*", ATTR{address}=="${MAC}", ATTR{type}=="1", NAME="ens192"\n`,
    );
    expect(pathsOf(network.plan(guestOf(recipe)).operations)).toEqual([LINK, rules]);
    expect(
      pathsOf(network.plan(guestOf({ ...recipe, files: { ...recipe.files, ...files } })).operations),
    ).toEqual([LINK]);
  });

  it('writes no rule where there is no udev to read it', () => {
    const { operations } = network.plan(
      guestOf({ files: { '/etc/network/interfaces': INTERFACES }, identity: { init_system: 'openrc' } }),
    );
    expect(operations).toEqual([]);
  });

  it('drops a rule and HWADDR for a card that the VM no longer has', () => {
    const rules = '/etc/udev/rules.d/70-persistent-net.rules';
    const rule = (mac: string, name: string) =>
      `SUBSYSTEM=="net", ACTION=="add", DRIVERS=="?*", ATTR{address}=="${mac}", ATTR{type}=="1", KERNEL=="eth*", NAME="${name}"\n`;
    const config = '/etc/sysconfig/network-scripts/ifcfg-eth0';
    const { operations } = plan(
      {
        [rules]: rule('00:50:56:00:00:99', 'eth0') + rule(MAC, 'eth1'),
        [config]: 'DEVICE="eth0"\nHWADDR=00:50:56:00:00:99\nONBOOT=yes\nBOOTPROTO=dhcp\n',
      },
      { hardware: { nics: [nic(MAC)] } },
    );
    expect(textAfter(operations, rules)).toBe(rule(MAC, 'eth1'));
    expect(textAfter(operations, config)).toBe('DEVICE="eth0"\nONBOOT=yes\nBOOTPROTO=dhcp\n');
  });
});

describe('what is an interface', () => {
  const nicsOf = (files: Files) => network.plan(guestOf({ files })).nics?.map(({ name }) => name);

  it('is not a loopback, alias, VLAN, bond or bridge, but their ports are', () => {
    expect(
      nicsOf({
        '/etc/network/interfaces':
          'iface lo inet loopback\niface bond0 inet static\n  bond-slaves ens192 ens224\n  bond-mode 1\niface br0 inet dhcp\n  bridge_ports ens256\niface ens161 inet manual\niface ens161:1 inet static\niface ens161.100 inet static\niface uplink inet dhcp\n  vlan-raw-device ens193\n',
      }),
    ).toEqual(['ens192', 'ens224', 'ens256', 'ens161', 'ens193']);
    expect(
      nicsOf({
        '/etc/sysconfig/network-scripts/ifcfg-lo': 'DEVICE=lo\n',
        '/etc/sysconfig/network-scripts/ifcfg-eth0': 'DEVICE=eth0\nMASTER=bond0\nSLAVE=yes\n',
        '/etc/sysconfig/network-scripts/ifcfg-eth0:1': 'DEVICE=eth0:1\nIPADDR=10.0.0.6\n',
        '/etc/sysconfig/network-scripts/ifcfg-bond0': 'DEVICE=bond0\nTYPE=Bond\nBONDING_OPTS="mode=1"\n',
        '/etc/sysconfig/network-scripts/ifcfg-bond0.7': 'DEVICE=bond0.7\nVLAN=yes\n',
        '/etc/sysconfig/network-scripts/ifcfg-eth0.bak': 'DEVICE=eth9\n',
      }),
    ).toEqual(['eth0']);
  });

  it('is read from NetworkManager, netplan, networkd, wicked and SUSE’s ifcfg', () => {
    expect(
      nicsOf({
        '/etc/NetworkManager/system-connections/ens192.nmconnection':
          '[connection]\nid=ens192\ntype=ethernet\ninterface-name=ens192\n',
      }),
    ).toEqual(['ens192']);
    expect(
      nicsOf({
        '/etc/netplan/50-cloud-init.yaml':
          'network:\n    version: 2\n    ethernets:\n        ens160:\n            dhcp4: true\n    vlans:\n        vlan5:\n            id: 5\n',
      }),
    ).toEqual(['ens160']);
    expect(
      nicsOf({
        '/etc/systemd/network/a.network': '[Match]\nName=ens192 ens224\n',
        '/etc/systemd/network/b.network': '[Match]\nName=br7\n',
        '/etc/systemd/network/b.netdev': '[NetDev]\nName=br7\nKind=bridge\n',
      }),
    ).toEqual(['ens192', 'ens224']);
    expect(
      nicsOf({ '/etc/wicked/ifconfig/eth0.xml': '<interface>\n  <name>eth0</name>\n</interface>\n' }),
    ).toEqual(['eth0']);
    expect(
      nicsOf({
        '/etc/sysconfig/network/ifcfg-eth0': "BOOTPROTO='dhcp'\nSTARTMODE='auto'\n",
        '/etc/sysconfig/network/ifcfg-lo': 'IPADDR=127.0.0.1\n',
      }),
    ).toEqual(['eth0']);
  });
});

describe('what is no name', () => {
  const nicsOf = (files: Files, more: GuestRecipe = {}) => plan(files, more).nics;
  const vm = { hardware: { nics: [nic(MAC)] } };
  const NETWORK_SCRIPTS = '/etc/sysconfig/network-scripts';
  const keyfile = (more: string) => ({
    '/etc/NetworkManager/system-connections/lan.nmconnection': `[connection]\nid=lan\ntype=ethernet\n${more}\n[ipv4]\nmethod=auto\n`,
  });

  it.each(['Wired_connection_1', 'static', 'prod'])('is the connection %s in a file of ifcfg', (label) => {
    const path = `${NETWORK_SCRIPTS}/ifcfg-${label}`;
    const text = `TYPE=Ethernet\nBOOTPROTO=none\nIPADDR=192.0.2.10\nNAME="${label}"\n`;
    expect(nicsOf({ [path]: text }, vm)).toEqual([]);
    expect(nicsOf({ [path]: `${text}HWADDR=${MAC}\n` }, vm)).toEqual([]);
    expect(nicsOf({ [path]: `${text}DEVICE=ens192\n` }, vm)).toEqual([{ name: 'ens192', mac: MAC }]);
  });

  it('is not the end of a file’s name that Linux gives, nor of any of SUSE’s', () => {
    expect(nicsOf({ [`${NETWORK_SCRIPTS}/ifcfg-ens192`]: 'BOOTPROTO=dhcp\n' })).toMatchObject([
      { name: 'ens192' },
    ]);
    expect(nicsOf({ '/etc/sysconfig/network/ifcfg-lan0': 'BOOTPROTO=dhcp\n' })).toMatchObject([
      { name: 'lan0' },
    ]);
  });

  it.each(['a-name-of-16-char', 'ens 192', '../etc/passwd', 'ens192/x'])(
    'is what Linux refuses: %s',
    (name) => {
      expect(nicsOf(keyfile(`interface-name=${name}\n`), vm)).toEqual([]);
      const yaml = `network:\n  ethernets:\n    lan:\n      match: {macaddress: "${MAC}"}\n      set-name: "${name}"\n`;
      expect(nicsOf({ '/etc/netplan/a.yaml': yaml }, vm)).toEqual([]);
    },
  );

  it.each<[string, string[]]>([
    ['ens192;', ['ens192']],
    ['!lo;&ens192;', ['ens192']],
    ['|ens192;|ens224', ['ens192', 'ens224']],
    ['!ens192;', []],
    ['en*;', []],
    ['ens*;!ens192;', ['ens160']],
  ])('[match] interface-name=%s is for %j', (value, names) => {
    const found = nicsOf(keyfile(`\n[match]\ninterface-name=${value}\n`), vm);
    expect(found?.map(({ name }) => name)).toEqual(names);
  });

  const byPattern: [string, (glob: string) => Files][] = [
    ['NetworkManager', (glob) => keyfile(`\n[match]\ninterface-name=${glob};\n`)],
    [
      'netplan',
      (glob) => ({
        '/etc/netplan/a.yaml': `network:\n  ethernets:\n    lan:\n      match: {name: "${glob}", driver: vmxnet3}\n      dhcp4: true\n`,
      }),
    ],
    [
      'networkd',
      (glob) => ({
        '/etc/systemd/network/a.network': `[Match]\nName=${glob}\nDriver=vmxnet3\n\n[Network]\nDHCP=yes\n`,
      }),
    ],
  ];
  describe.each(byPattern)('a pattern of %s', (_name, filesOf) => {
    const cards = (...slots: number[]) => ({
      hardware: { nics: slots.map((slot, n) => ({ ...nic(n === 0 ? MAC : MAC2), pci_slot: slot })) },
    });

    it('that takes any card’s name on KVM needs no name', () => {
      for (const glob of ['en*', 'e*', '*', 'e[mn]*']) expect(nicsOf(filesOf(glob), cards(192))).toEqual([]);
    });

    it('that takes only old names gets those of the cards that had them', () => {
      expect(nicsOf(filesOf('ens*'), cards(160, 1184))).toEqual([
        { name: 'ens160', mac: MAC },
        { name: 'ens161', mac: MAC2 },
      ]);
      expect(nicsOf(filesOf('ens19?'), cards(160, 192))).toEqual([{ name: 'ens192', mac: MAC2 }]);
      expect(nicsOf(filesOf('eth*'), vm)).toEqual([{ name: 'eth0', mac: MAC }]);
      expect(nicsOf(filesOf('ens*'))).toEqual([{ name: 'ens192', mac: null }]);
    });

    it('that no card can be told for is warned of', () => {
      const { nics, warnings } = plan(filesOf('ens*'), { hardware: { nics: [nic(MAC), nic(MAC2)] } });
      expect(nics).toEqual([]);
      expect(warnings).toContainEqual(expect.objectContaining({ code: 'network.unknown-mac' }));
    });

    it('that takes the kernel’s names needs none where the kernel names', () => {
      const grub = { '/boot/grub/grub.cfg': '\tlinux /vmlinuz ro net.ifnames=0\n' };
      expect(nicsOf({ ...filesOf('eth*'), ...grub }, cards(192))).toEqual([]);
    });
  });

  it('the cards under VLANs, bonds and bridges are names without files of their own', () => {
    const suse = '/etc/sysconfig/network';
    const names = nicsOf({
      [`${NETWORK_SCRIPTS}/ifcfg-vlan7`]: 'DEVICE=vlan7\nVLAN=yes\nPHYSDEV=ens160\n',
      [`${suse}/ifcfg-vlan8`]: "ETHERDEVICE='eth4'\n",
      [`${suse}/ifcfg-bond0`]: "BONDING_MASTER='yes'\nBONDING_SLAVE0='eth5'\nBONDING_SLAVE_1='eth6'\n",
      [`${suse}/ifcfg-br0`]: "BRIDGE='yes'\nBRIDGE_PORTS='eth7 eth8'\n",
      '/etc/NetworkManager/system-connections/v.nmconnection':
        '[connection]\ntype=vlan\ninterface-name=v9\n\n[vlan]\nid=9\nparent=ens192\n',
    })?.map(({ name }) => name);
    expect(names?.sort()).toEqual(['ens160', 'ens192', 'eth4', 'eth5', 'eth6', 'eth7', 'eth8']);
  });
});

describe('a MAC that no card has', () => {
  const FOREIGN = '00:50:56:00:00:99';
  const path = '/etc/netplan/a.yaml';
  const yaml = (mac: string, more = '') =>
    `network:\n  ethernets:\n    lan:\n      match:\n        macaddress: ${mac} # card\n${more}      dhcp4: true\n`;

  it('is the only card’s in netplan now', () => {
    const { operations, warnings } = plan({ [path]: yaml(FOREIGN) }, { hardware: { nics: [nic(MAC)] } });
    expect(textAfter(operations, path)).toBe(yaml(`"${MAC}"`));
    expect(warnings).toMatchObject([{ code: 'network.foreign-mac', message: expect.stringContaining(MAC) }]);
  });

  it('is that of the card whose slot the name says, of several', () => {
    const nics = [
      { ...nic(MAC), pci_slot: 160 },
      { ...nic(MAC2), pci_slot: 192 },
    ];
    const set = '      set-name: ens192\n';
    const { operations } = plan({ [path]: yaml(FOREIGN, set) }, { hardware: { nics } });
    expect(textAfter(operations, path)).toBe(yaml(`"${MAC2}"`, set));
    expect(textAfter(operations, LINK)).toBe(linkText('ens192', `MACAddress=${MAC2}`));
  });

  it('stays, with a warning, where nothing tells the card', () => {
    const { operations, warnings } = plan(
      { [path]: yaml(FOREIGN) },
      { hardware: { nics: [nic(MAC), nic(MAC2)] } },
    );
    expect(operations).toEqual([]);
    expect(warnings).toMatchObject([{ code: 'network.foreign-mac' }]);
  });
});

describe('pins of the old hypervisor', () => {
  it('leaves a networkd file usable on both: the new driver beside the old', () => {
    const path = '/etc/systemd/network/wired.network';
    const { operations } = plan({ [path]: '[Match]\nDriver=vmxnet3\n\n[Network]\nAddress=10.0.0.5/24\n' });
    expect(textAfter(operations, path)).toBe(
      '[Match]\nDriver=virtio_net vmxnet3\n\n[Network]\nAddress=10.0.0.5/24\n',
    );
  });

  it('takes a driver match out of netplan where the MAC tells, and widens it where it does not', () => {
    const path = '/etc/netplan/01.yaml';
    const yaml = (match: string) =>
      `network:\n  version: 2\n  ethernets:\n    lan:\n      match:\n${match}      set-name: ens192\n      addresses: [10.0.0.5/24]\n`;
    const withMac = plan({ [path]: yaml(`        macaddress: "${MAC}"\n        driver: vmxnet3\n`) });
    expect(textAfter(withMac.operations, path)).toBe(yaml(`        macaddress: "${MAC}"\n`));
    expect(withMac.nics).toEqual([{ name: 'ens192', mac: MAC }]);
    const without = plan({ [path]: yaml('        driver: vmxnet3\n') });
    expect(textAfter(without.operations, path)).toBe(yaml('        driver: "?*"\n'));
  });

  it('changes nothing but the driver in a NetworkManager keyfile', () => {
    const path = '/etc/NetworkManager/system-connections/lan.nmconnection';
    const text = `[connection]\nid=lan\ntype=ethernet\n\n[match]\ndriver=vmxnet3;\n\n[ipv4]\nmethod=manual\naddress1=10.0.0.5/24,10.0.0.1\ndns=10.0.0.1;\n`;
    const { operations } = plan({ [path]: text });
    expect(changedLines(text, textAfter(operations, path) ?? '')).toEqual([
      '-driver=vmxnet3;',
      '+driver=vmxnet3;virtio_net;',
    ]);
  });
});

describe('fix.network = "dhcp"', () => {
  const options = { network: 'dhcp' } as const;

  it('replaces static addresses and keeps the rest', () => {
    const { operations } = plan({ '/etc/network/interfaces': INTERFACES }, { options });
    expect(textAfter(operations, '/etc/network/interfaces')).toBe(
      'auto lo\niface lo inet loopback\n\nallow-hotplug ens192\niface ens192 inet dhcp\n',
    );
    const ifcfg = '/etc/sysconfig/network-scripts/ifcfg-ens192';
    const redhat = plan(
      {
        [ifcfg]: 'DEVICE=ens192\nBOOTPROTO=none\nIPADDR=10.0.0.5\nPREFIX=24\nGATEWAY=10.0.0.1\nONBOOT=yes\n',
      },
      { options },
    );
    expect(textAfter(redhat.operations, ifcfg)).toBe('DEVICE=ens192\nBOOTPROTO=dhcp\nONBOOT=yes\n');
    const networkd = '/etc/systemd/network/a.network';
    const systemd = plan(
      { [networkd]: '[Match]\nName=ens192\n\n[Network]\nAddress=10.0.0.5/24\nGateway=10.0.0.1\nLLDP=yes\n' },
      { options },
    );
    expect(textAfter(systemd.operations, networkd)).toBe(
      '[Match]\nName=ens192\n\n[Network]\nDHCP=yes\nLLDP=yes\n',
    );
  });

  it('refuses by name where it cannot', () => {
    const files = {
      '/etc/netplan/01.yaml':
        'network:\n  ethernets:\n    ens160:\n      ? addresses\n      : [10.0.0.5/24]\n',
    };
    expect(() => network.plan(guestOf({ files, options }))).toThrowError(
      expect.objectContaining({ code: 'plan.network-dhcp' }),
    );
  });

  it('gives netplan’s devices with addresses DHCP, wherever their sequences stand', () => {
    const path = '/etc/netplan/01.yaml';
    const text =
      'network:\n  version: 2\n  ethernets:\n    ens160:\n      addresses:\n      - 10.0.0.5/24\n      gateway4: 10.0.0.1\n      mtu: 1450\n      routes:\n        - to: default\n          via: 10.0.0.1\n    ens192: {}\n  bonds:\n    bond0:\n      interfaces: [ens192]\n      addresses: [10.1.0.5/24]\n';
    const { operations } = plan({ [path]: text }, { options });
    expect(textAfter(operations, path)).toBe(
      'network:\n  version: 2\n  ethernets:\n    ens160:\n      dhcp4: true\n      mtu: 1450\n    ens192: {}\n  bonds:\n    bond0:\n      interfaces: [ens192]\n      dhcp4: true\n',
    );
  });

  it('gives wicked’s interfaces DHCP', () => {
    const path = '/etc/wicked/ifconfig/eth0.xml';
    const text =
      '<interface>\n  <name>eth0</name>\n  <ipv4:static>\n    <address><local>10.0.0.5/24</local></address>\n  </ipv4:static>\n</interface>\n';
    expect(textAfter(plan({ [path]: text }, { options }).operations, path)).toBe(
      '<interface>\n  <name>eth0</name>\n  <ipv4:dhcp><enabled>true</enabled></ipv4:dhcp>\n</interface>\n',
    );
  });
});

describe('netplan in flow style', () => {
  it('tells names and MACs, and its driver match becomes any driver', () => {
    const path = '/etc/netplan/01.yaml';
    const yaml = (driver: string) =>
      `network:\n  version: 2\n  ethernets:\n    nic0: {match: {macaddress: "${MAC}", driver: ${driver}}, set-name: lan0, dhcp4: true}\n`;
    const { operations, nics } = plan({ [path]: yaml('vmxnet3') });
    expect(nics).toEqual([{ name: 'lan0', mac: MAC }]);
    expect(textAfter(operations, path)).toBe(yaml('"?*"'));
    expect(plan({ [path]: 'network: {ethernets: {ens7: {dhcp4: true}}}\n' }).nics).toEqual([
      { name: 'ens7', mac: null },
    ]);
  });
});
