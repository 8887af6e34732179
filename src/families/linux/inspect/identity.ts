import { ESP_TYPES, efiDirectories, espMountpoints } from '../../../guest/esp.js';
import { parseOsRelease } from '../../../guest/os-release.js';
import { hasProgram, SYSTEMD } from '../../../guest/programs.js';
import type { GuestTree } from '../../../guest/tree.js';
import type { LinuxIdentity } from '../../../model/identity.js';
import { shortLines } from '../../../text/lines.js';

/**
 * Returns everything that INSPECT learns from the snapshot alone. Pure. Goes by what is installed, not by the
 * name of the distribution.
 */
export function identify(tree: GuestTree, partitions: LinuxIdentity['partitions']) {
  const release = osRelease(tree);
  return {
    ...release,
    firmware: firmware(tree, partitions),
    bootloader: bootloader(tree),
    init_system: initSystem(tree),
    network_manager: networkManagers(tree),
    hostname: hostname(tree),
    initramfs_tool: initramfsTool(tree),
    package_manager: packageManager(tree),
    vmware_tools: vmwareTools(tree),
    selinux: selinux(tree),
    qemu_guest_agent: hasProgram(tree, 'qemu-ga'),
  };
}

type Release = Pick<LinuxIdentity, 'os_distro' | 'os_version' | 'os_name'>;

/** os-release(5); older distributions each have a file of their own. */
function osRelease(tree: GuestTree): Release {
  const text = tree.text('/etc/os-release')?.text ?? tree.text('/usr/lib/os-release')?.text;
  if (text !== undefined) {
    const { id, version, name } = parseOsRelease(text);
    return { os_distro: id || 'linux', os_version: version, os_name: name };
  }
  for (const [path, distro] of OLD_RELEASE_FILES) {
    const line = tree.text(path)?.text.split('\n')[0]?.trim();
    if (line === undefined || line === '') continue;
    const os_distro = distro === 'rhel' && /CentOS/i.test(line) ? 'centos' : distro;
    return { os_distro, os_version: line.match(/\d+(\.\d+)*/)?.[0] ?? '', os_name: line };
  }
  return { os_distro: 'unknown', os_version: '', os_name: 'unknown Linux' };
}

const OLD_RELEASE_FILES = [
  ['/etc/oracle-release', 'ol'],
  ['/etc/centos-release', 'centos'],
  ['/etc/fedora-release', 'fedora'],
  ['/etc/redhat-release', 'rhel'],
  ['/etc/SuSE-release', 'suse'],
  ['/etc/alpine-release', 'alpine'],
  ['/etc/arch-release', 'arch'],
  ['/etc/debian_version', 'debian'],
] as const;

/** UEFI if an EFI system partition holds a loader; an ESP without one does not make a UEFI guest. */
function firmware(tree: GuestTree, partitions: LinuxIdentity['partitions']): LinuxIdentity['firmware'] {
  const hasEsp = partitions.some((table) =>
    table.partitions.some((partition) => ESP_TYPES.has(partition.type)),
  );
  return hasEsp && espLoaders(tree).length > 0 ? 'uefi' : 'bios';
}

/** Returns the paths of all EFI programs on the mounted ESP. */
function espLoaders(tree: GuestTree): string[] {
  return efiDirectories(tree)
    .flatMap((efi) => tree.list(efi).map((vendor) => `${efi}/${vendor}`))
    .flatMap((vendor) => tree.list(vendor).map((name) => `${vendor}/${name}`))
    .filter((path) => path.toLowerCase().endsWith('.efi'));
}

function bootloader(tree: GuestTree): LinuxIdentity['bootloader'] {
  const any = (...paths: string[]) => paths.some((path) => tree.exists(path));
  if (any('/boot/grub/grub.cfg', '/boot/grub2/grub.cfg')) return 'grub2';
  if (espMountpoints(tree).some((esp) => any(`${esp}/loader/loader.conf`, `${esp}/loader/entries`))) {
    // If GRUB were there, BLS entries in /boot/loader would be its own; that case was handled above.
    return 'systemd-boot';
  }
  if (any('/boot/grub/menu.lst', '/boot/grub/grub.conf', '/etc/grub.conf')) return 'grub-legacy';
  const extlinux = [
    '/boot/extlinux.conf',
    '/boot/extlinux/extlinux.conf',
    '/boot/syslinux/syslinux.cfg',
    '/extlinux.conf',
  ];
  if (any(...extlinux)) return 'extlinux';
  if (espLoaders(tree).some((path) => /grub/i.test(path))) return 'grub2';
  if (tree.exists('/etc/lilo.conf')) return 'lilo';
  return 'unknown';
}

function initSystem(tree: GuestTree): string {
  if (SYSTEMD.some((path) => tree.exists(path))) return 'systemd';
  if (hasProgram(tree, 'openrc') || tree.exists('/etc/runlevels')) return 'openrc';
  if (tree.exists('/etc/init/rc.conf') || hasProgram(tree, 'initctl')) return 'upstart';
  return tree.exists('/etc/inittab') ? 'sysvinit' : 'unknown';
}

/** Returns every backend that has a configuration, in a fixed order. */
function networkManagers(tree: GuestTree): string[] {
  const has = (directory: string, pattern: RegExp) => tree.list(directory).some((name) => pattern.test(name));
  const found: [string, boolean][] = [
    ['netplan', has('/etc/netplan', /\.ya?ml$/)],
    ['NetworkManager', has('/etc/NetworkManager/system-connections', /./)],
    ['networkd', has('/etc/systemd/network', /\.network$/)],
    [
      'ifcfg',
      has('/etc/sysconfig/network-scripts', /^ifcfg-(?!lo$)/) ||
        has('/etc/sysconfig/network', /^ifcfg-(?!lo$)/),
    ],
    ['wicked', has('/etc/wicked/ifconfig', /\.xml$/)],
    ['ifupdown', ifupdown(tree)],
  ];
  return found.filter(([, there]) => there).map(([name]) => name);
}

function ifupdown(tree: GuestTree): boolean {
  const files = [
    '/etc/network/interfaces',
    ...tree.list('/etc/network/interfaces.d').map((name) => `/etc/network/interfaces.d/${name}`),
  ];
  // Matched line by line: on the whole file, the leading spaces would be tried again at every line end.
  const lines = files.flatMap((file) => shortLines(tree.text(file)?.text ?? ''));
  return lines.some((line) => /^\s*iface\s+(?!lo\b)\S+/.test(line));
}

function hostname(tree: GuestTree): string {
  const file = tree.text('/etc/hostname')?.text ?? tree.text('/etc/HOSTNAME')?.text ?? '';
  const line = file
    .split('\n')
    .map((text) => text.trim())
    .find((text) => text !== '' && !text.startsWith('#'));
  return line ?? tree.text('/etc/sysconfig/network')?.text.match(/^HOSTNAME=["']?([^"'\s]+)/m)?.[1] ?? '';
}

const INITRAMFS_TOOLS = [
  ['update-initramfs', 'initramfs-tools'],
  ['dracut', 'dracut'],
  ['mkinitcpio', 'mkinitcpio'],
  ['mkinitfs', 'mkinitfs'],
  ['booster', 'booster'],
  ['mkinitrd', 'mkinitrd'],
] as const;
const PACKAGE_MANAGERS = ['apt-get', 'dnf', 'yum', 'zypper', 'tdnf', 'pacman', 'apk', 'rpm', 'dpkg'] as const;

function initramfsTool(tree: GuestTree): string {
  return INITRAMFS_TOOLS.find(([name]) => hasProgram(tree, name))?.[1] ?? 'none';
}

function packageManager(tree: GuestTree): string {
  const name = PACKAGE_MANAGERS.find((candidate) => hasProgram(tree, candidate));
  return name === 'apt-get' ? 'apt' : (name ?? 'unknown');
}

function vmwareTools(tree: GuestTree): LinuxIdentity['vmware_tools'] {
  if (tree.exists('/etc/vmware-tools/locations') || hasProgram(tree, 'vmware-uninstall-tools.pl'))
    return 'tarball';
  return hasProgram(tree, 'vmtoolsd') || hasProgram(tree, 'vmware-toolbox-cmd') ? 'open-vm-tools' : 'none';
}

function selinux(tree: GuestTree): boolean {
  const mode = tree.text('/etc/selinux/config')?.text.match(/^SELINUX=(\w+)/m)?.[1];
  return mode !== undefined && mode !== 'disabled';
}
