import type { Identity, LinuxIdentity, WindowsIdentity } from '../model/identity.js';
import type { WindowsInterface } from '../model/windows-identity.js';
import { terminalText } from '../text/escape-terminal.js';
import { formatBytes } from '../text/format.js';
import { tableLines } from '../text/table.js';
import type { Io } from './io.js';

type Fact = [name: string, value: string];

/** Returns what `hyper2kvm inspect` prints of a guest: its facts by their names in the JSON, its filesystems. */
export function identityText(io: Io, identity: Identity): string {
  const facts: Fact[] = [
    ['os_name', identity.os_name],
    ['os_type', identity.os_type],
    ['os_distro', identity.os_distro],
    ['os_version', identity.os_version],
    ['hostname', identity.hostname],
    ['architecture', identity.architecture],
    ['firmware', identity.firmware],
    ['bootloader', identity.bootloader],
    ...(identity.os_type === 'windows' ? windowsFacts(identity) : linuxFacts(identity)),
  ];
  const head = facts
    .map(([name, value]) => `${io.paint('dim', name.padEnd(16))} ${terminalText(value)}\n`)
    .join('');
  const [title, ...rows] = tableLines(
    [
      { title: 'DEVICE' },
      { title: 'TYPE' },
      { title: 'SIZE', align: 'right' },
      { title: 'MOUNTED ON' },
      { title: 'UUID' },
    ],
    identity.filesystems.map((fs) =>
      [fs.device, fs.type, formatBytes(fs.size), fs.mountpoint ?? '', fs.uuid ?? ''].map(terminalText),
    ),
    { gap: 2 },
  ) as [string, ...string[]];
  return `${head}\n${[io.paint('bold', title), ...rows].join('\n')}\n`;
}

const AS_IS: Fact = ['conversion', 'as it is only: fix.mode = "none"'];

function linuxFacts(identity: LinuxIdentity): Fact[] {
  return [
    ['init_system', identity.init_system],
    ['network_manager', identity.network_manager.join(', ')],
    ['initramfs_tool', identity.initramfs_tool],
    ['package_manager', identity.package_manager],
    ['vmware_tools', identity.vmware_tools],
    ['encrypted', String(identity.encrypted)],
    ['qemu_guest_agent', String(identity.qemu_guest_agent)],
    ['selinux', String(identity.selinux)],
    ...(identity.as_is === undefined ? [] : [AS_IS]),
    ...identity.kernels.map(({ version, initramfs }): Fact => {
      const image =
        initramfs === null ? ', no initramfs' : `, ${initramfs.path} (${formatBytes(initramfs.size)})`;
      return ['kernel', `${version}${image}`];
    }),
  ];
}

function windowsFacts(identity: WindowsIdentity): Fact[] {
  const { vmware_tools: tools, vmware_tools_version: version } = identity;
  return [
    ['build', String(identity.build)],
    ['edition', identity.edition],
    ['installation_type', identity.installation_type],
    ['control_set', String(identity.control_set)],
    ['vmware_tools', version === null ? tools : `${tools} ${version}`],
    ['encrypted', String(identity.encrypted)],
    ['qemu_guest_agent', String(identity.qemu_guest_agent)],
    ['clock', identity.clock],
    ['hibernated', String(identity.hibernated)],
    ['fast_startup', String(identity.fast_startup)],
    ['dynamic_disk', String(identity.dynamic_disk)],
    ['boot_store', bootStoreText(identity.boot_store)],
    ...identity.interfaces.map((adapter): Fact => ['interface', interfaceText(adapter)]),
  ];
}

function bootStoreText(store: WindowsIdentity['boot_store']): string {
  if (store === null) return 'none found';
  const { device, loader, matches_root: matches } = store;
  const place = matches === null ? '' : matches ? ', on the root' : ', NOT on the root';
  return `${device}: ${loader ?? 'no loader'}${place}`;
}

function interfaceText({ name, mac, mac_source, dhcp, addresses, dns }: WindowsInterface): string {
  const static_ = addresses.map(({ address, prefix }) => `${address}/${prefix}`);
  return [
    name,
    mac === null ? 'MAC unknown' : `${mac} (${mac_source})`,
    ...(dhcp ? ['DHCP'] : []),
    ...static_,
    ...(dns.length > 0 ? [`DNS ${dns.join(' ')}`] : []),
  ].join(', ');
}
