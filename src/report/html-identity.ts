import type { Identity, LinuxIdentity, WindowsIdentity } from '../model/identity.js';
import { formatBytes } from '../text/format.js';
import { type Markup, markup } from '../text/markup.js';
import type { Report } from './report.js';

type Fact = [label: string, value: string];

/** Returns the page's part about the guest; null for a data disk. */
export function identitySection({ identity, hardware }: Report): Markup | null {
  if (identity === null) return null;
  const facts: Fact[] = [
    ['system', identity.os_name],
    ['distribution', `${identity.os_distro} ${identity.os_version}`],
    ['host name', identity.hostname],
    ['architecture', identity.architecture],
    ['firmware', identity.firmware.toUpperCase()],
    ['bootloader', identity.bootloader],
    ...(identity.os_type === 'windows' ? windowsFacts(identity) : linuxFacts(identity)),
    ['encrypted', identity.encrypted ? 'yes' : 'no'],
    ['qemu-guest-agent', identity.qemu_guest_agent ? 'installed' : 'missing'],
    ...(hardware?.memory_mib ? [['memory', `${hardware.memory_mib} MiB`] satisfies Fact] : []),
    ...(hardware?.vcpus ? [['vCPUs', String(hardware.vcpus)] satisfies Fact] : []),
  ];
  return markup`<h2>Guest</h2>
<div class="two"><div class="card"><table class="facts">${facts.map(([name, value]) => markup`<tr><th>${name}</th><td>${value}</td></tr>`)}${details(identity)}</table></div>
<div class="card scroll"><table><thead><tr><th>device</th><th>type</th><th>mounted on</th><th class="num">size</th></tr></thead><tbody>
${identity.filesystems.map(
  (fs) =>
    markup`<tr><td class="mono">${fs.device}</td><td>${fs.type}</td><td class="mono">${fs.mountpoint ?? ''}</td><td class="num">${formatBytes(fs.size)}</td></tr>`,
)}</tbody></table></div></div>`;
}

function linuxFacts(identity: LinuxIdentity): Fact[] {
  return [
    ['init', identity.init_system],
    ['network', identity.network_manager.join(', ') || 'none found'],
    ['initramfs', identity.initramfs_tool],
    ['packages', identity.package_manager],
    ['VMware Tools', identity.vmware_tools],
    ['SELinux', identity.selinux ? 'yes' : 'no'],
  ];
}

function windowsFacts(identity: WindowsIdentity): Fact[] {
  const { vmware_tools: tools, vmware_tools_version: version } = identity;
  return [
    ['build', String(identity.build)],
    ['edition', `${identity.edition} (${identity.installation_type})`],
    ['control set', String(identity.control_set)],
    ['VMware Tools', version === null ? tools : `${tools} ${version}`],
    ['hibernated', identity.hibernated ? 'yes' : 'no'],
  ];
}

/** Kernels of Linux, network adapters of Windows. */
function details(identity: Identity): Markup[] {
  if (identity.os_type === 'windows')
    return identity.interfaces.map(
      ({ name, mac, dhcp, addresses }) =>
        markup`<tr><th>network</th><td>${name}: ${dhcp ? 'DHCP' : addresses.map(({ address, prefix }) => `${address}/${prefix}`).join(', ')}<br><span class="digest mono">${mac ?? 'MAC address unknown'}</span></td></tr>`,
    );
  return identity.kernels.map(
    ({ version, image }) =>
      markup`<tr><th>kernel</th><td>${version}<br><span class="digest mono">${image}</span></td></tr>`,
  );
}
