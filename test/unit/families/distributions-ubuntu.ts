import {
  type Files,
  filesystem,
  type GuestRecipe,
  kernelOf,
  MODULES_DEP,
  MODULES_DEP_2_6,
  MODULES_DEP_4_18,
  modulesOf,
  VMWARE_MODULES,
} from './guests.js';

const MAC = '00:50:56:ab:cd:01';
const merged: Files = { '/lib': '-> usr/lib', '/bin': '-> usr/bin', '/sbin': '-> usr/sbin' };
const compressed = (suffix: string) => MODULES_DEP.replaceAll('.ko', `.ko${suffix}`);
const tools: Files = {
  '/lib/systemd/system/open-vm-tools.service': null,
  '/lib/systemd/system/vgauth.service': null,
};

/** Ubuntu’s releases beside 22.04, which is in distributions.ts. */
export const UBUNTU_DISTRIBUTIONS: Record<string, GuestRecipe> = {
  'Ubuntu 18.04, BIOS, cloud-init’s netplan by MAC': {
    files: {
      ...modulesOf('4.15.0-213-generic', '/lib/modules', MODULES_DEP_2_6),
      ...tools,
      '/etc/udev/udev.conf': '',
      '/etc/fstab':
        'UUID=root-uuid / ext4 defaults 0 0\n/swap.img\tnone\tswap\tsw\t0\t0\n/dev/sdb1 /srv ext4 defaults,nofail 0 2\n',
      '/boot/grub/grub.cfg':
        '\tlinux\t/boot/vmlinuz-4.15.0-213-generic root=UUID=root-uuid ro  maybe-ubiquity\n',
      '/etc/default/grub': 'GRUB_CMDLINE_LINUX_DEFAULT="maybe-ubiquity"\nGRUB_CMDLINE_LINUX=""\n',
      '/etc/netplan/50-cloud-init.yaml': `network:\n    version: 2\n    ethernets:\n        ens192:\n            addresses:\n            - 10.1.2.3/24\n            gateway4: 10.1.2.1\n            match:\n                macaddress: ${MAC}\n                driver: vmxnet3\n            nameservers:\n                addresses: [10.1.2.1]\n            set-name: ens192\n`,
      '/etc/initramfs-tools/modules': '# List of modules\n',
      '/usr/sbin/update-initramfs': null,
    },
    filesystems: [
      filesystem('/dev/sda2', 'ext4', 'root-uuid', { mountpoint: '/' }),
      filesystem('/dev/sdb1', 'ext4', 'srv-uuid'),
    ],
    controllers: ['scsi0:0', 'scsi0:1'],
    identity: {
      os_distro: 'ubuntu',
      os_version: '18.04',
      kernels: [
        {
          ...kernelOf('4.15.0-213-generic', VMWARE_MODULES, { lib: 'lib' }),
          modules: '/lib/modules/4.15.0-213-generic',
        },
      ],
    },
  },
  'Ubuntu 20.04, BIOS, LVM, netplan without MAC': {
    files: {
      ...merged,
      ...modulesOf('5.4.0-182-generic', '/usr/lib/modules', MODULES_DEP_4_18),
      '/usr/lib/systemd/system/open-vm-tools.service': null,
      '/usr/lib/systemd/system/vgauth.service': null,
      '/etc/systemd/system/vmtoolsd.service': '-> /lib/systemd/system/open-vm-tools.service',
      '/usr/lib/systemd/system/systemd-network-generator.service': null,
      '/etc/fstab':
        '# / was on /dev/ubuntu-vg/ubuntu-lv during curtin installation\n/dev/disk/by-id/dm-uuid-LVM-abc / ext4 defaults 0 0\n# /boot was on /dev/sda2 during curtin installation\n/dev/disk/by-uuid/boot-uuid /boot ext4 defaults 0 0\n',
      '/boot/grub/grub.cfg':
        '\tlinux\t/vmlinuz-5.4.0-182-generic root=/dev/mapper/ubuntu--vg-ubuntu--lv ro  quiet\n',
      '/etc/netplan/00-installer-config.yaml':
        "# This is the network config written by 'subiquity'\nnetwork:\n  ethernets:\n    ens160:\n      addresses:\n      - 10.1.2.3/24\n      gateway4: 10.1.2.1\n      nameservers:\n        addresses:\n        - 10.1.2.1\n  version: 2\n",
      '/etc/initramfs-tools/modules': '',
      '/usr/sbin/update-initramfs': null,
    },
    filesystems: [
      filesystem('/dev/sda2', 'ext4', 'boot-uuid'),
      filesystem('/dev/sda3', 'LVM2_member', 'pv-uuid'),
      filesystem('/dev/ubuntu-vg/ubuntu-lv', 'ext4', 'root-uuid', { mountpoint: '/' }),
    ],
    identity: {
      os_distro: 'ubuntu',
      os_version: '20.04',
      kernels: [kernelOf('5.4.0-182-generic', VMWARE_MODULES)],
    },
    hardware: { nics: [{ mac: MAC, network: 'VM Network', model: 'vmxnet3' }] },
  },
  'Ubuntu 24.04, UEFI, netplan in flow style': {
    files: {
      ...merged,
      ...modulesOf('6.8.0-31-generic', '/usr/lib/modules', compressed('.zst')),
      '/usr/lib/systemd/system/open-vm-tools.service': null,
      '/usr/lib/systemd/system/vgauth.service': null,
      '/etc/systemd/system/vmtoolsd.service': '-> /lib/systemd/system/open-vm-tools.service',
      '/usr/lib/systemd/system/systemd-network-generator.service': null,
      '/etc/fstab':
        '/dev/disk/by-uuid/root-uuid / ext4 defaults 0 1\n/dev/disk/by-uuid/1234-ABCD /boot/efi vfat defaults 0 1\n/swap.img\tnone\tswap\tsw\t0\t0\n',
      '/boot/grub/grub.cfg': '\tlinux\t/boot/vmlinuz-6.8.0-31-generic root=UUID=root-uuid ro\n',
      '/etc/netplan/50-cloud-init.yaml': `network:\n  version: 2\n  ethernets:\n    nic0: {match: {macaddress: "${MAC.toUpperCase()}", driver: vmxnet3}, set-name: ens192, dhcp4: true}\n`,
      '/etc/initramfs-tools/modules': '',
      '/usr/sbin/update-initramfs': null,
      '/boot/efi/EFI/BOOT/BOOTX64.EFI': null,
      '/boot/efi/EFI/BOOT/fbx64.efi': null,
      '/boot/efi/EFI/BOOT/mmx64.efi': null,
      '/boot/efi/EFI/ubuntu/shimx64.efi': null,
      '/boot/efi/EFI/ubuntu/grubx64.efi': null,
      '/boot/efi/EFI/ubuntu/mmx64.efi': null,
      '/boot/efi/EFI/ubuntu/BOOTX64.CSV': null,
      '/boot/efi/EFI/ubuntu/grub.cfg': 'search.fs_uuid root-uuid root\n',
    },
    filesystems: [
      filesystem('/dev/sda1', 'vfat', '1234-ABCD'),
      filesystem('/dev/sda2', 'ext4', 'root-uuid', { mountpoint: '/' }),
    ],
    identity: {
      os_distro: 'ubuntu',
      os_version: '24.04',
      firmware: 'uefi',
      kernels: [kernelOf('6.8.0-31-generic', VMWARE_MODULES)],
    },
  },
};
