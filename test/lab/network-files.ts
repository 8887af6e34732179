import type { GuestFiles } from './guest-files.ts';
import { uuidFrom, VMWARE_NIC_ADDRESS } from './layout.ts';
import type { GuestRecipe } from './recipes.ts';

/** What names and configures the guest's one NIC, as it was set up on VMware. */
export function networkFiles(recipe: GuestRecipe): GuestFiles {
  const { interface: name, mac, backend, pin, static: fixed } = recipe.network;
  const pinFiles = {
    'udev-rules': {
      '/etc/udev/rules.d/70-persistent-net.rules': {
        content: `# PCI device 0x15ad:0x07b0 (vmxnet3)
SUBSYSTEM=="net", ACTION=="add", DRIVERS=="vmxnet3", ATTR{address}=="${mac}", ATTR{type}=="1", NAME="${name}"
`,
      },
    },
    link: {
      [`/etc/systemd/network/10-${name}.link`]: {
        content: `[Match]\nMACAddress=${mac}\nPath=pci-${VMWARE_NIC_ADDRESS}\nDriver=vmxnet3\n\n[Link]\nName=${name}\n`,
      },
    },
    slot: {},
  } as const satisfies Record<typeof pin, GuestFiles>;
  const backendFiles = {
    ifupdown: {
      '/etc/network/interfaces': {
        content: `source /etc/network/interfaces.d/*\n\nauto lo\niface lo inet loopback\n\nauto ${name}\niface ${name} inet ${
          fixed === undefined ? 'dhcp' : `static\n\taddress ${fixed.address}\n\tgateway ${fixed.gateway}`
        }\n`,
      },
    },
    networkd: {
      '/etc/systemd/network/20-wired.network': {
        content: `[Match]\nName=${name}\n\n[Network]\n${
          fixed === undefined
            ? 'DHCP=ipv4'
            : `Address=${fixed.address}\nGateway=${fixed.gateway}\nDNS=${fixed.dns}`
        }\n`,
      },
      '/etc/systemd/system/multi-user.target.wants/systemd-networkd.service': {
        link: '/lib/systemd/system/systemd-networkd.service',
      },
      '/etc/systemd/system/network-online.target.wants/systemd-networkd-wait-online.service': {
        link: '/lib/systemd/system/systemd-networkd-wait-online.service',
      },
    },
    NetworkManager: {
      [`/etc/NetworkManager/system-connections/${name}.nmconnection`]: {
        mode: 0o600,
        content: `[connection]\nid=${name}\nuuid=${uuidFrom(`${recipe.name}/${name}`)}\ntype=ethernet\ninterface-name=${name}\n\n[ethernet]\nmac-address=${mac.toUpperCase()}\n\n[ipv4]\n${
          fixed === undefined
            ? 'method=auto'
            : `address1=${fixed.address},${fixed.gateway}\ndns=${fixed.dns};\nmethod=manual`
        }\n`,
      },
    },
    netplan: {
      '/etc/netplan/00-installer-config.yaml': {
        mode: 0o600,
        content: `# This is the network config written by 'subiquity'\nnetwork:\n  version: 2\n  renderer: networkd\n  ethernets:\n    ${name}:\n${
          fixed === undefined
            ? `      match:\n        driver: vmxnet3\n      set-name: ${name}\n      dhcp4: true\n`
            : `      addresses: [${fixed.address}]\n      routes:\n        - to: default\n          via: ${fixed.gateway}\n      nameservers:\n        addresses: [${fixed.dns}]\n`
        }`,
      },
    },
  } satisfies Record<typeof backend, GuestFiles>;
  // Where it is installed for other guests' sake it would take the card itself.
  const idle: GuestFiles =
    backend !== 'NetworkManager' && recipe.packages.includes('network-manager')
      ? { '/etc/systemd/system/NetworkManager.service': { link: '/dev/null' } }
      : {};
  // cloud-init writes its own.
  const written = recipe.cloudInit === true ? {} : backendFiles[backend];
  return { ...pinFiles[pin], ...written, ...idle };
}
