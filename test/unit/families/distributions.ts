import {
  type Files,
  filesystem,
  type GuestRecipe,
  kernelOf,
  MODULES_DEP,
  MODULES_DEP_2_6,
  modulesOf,
  VMWARE_MODULES,
} from './guests.js';

const MAC = '00:50:56:ab:cd:01';
const compressed = (suffix: string) => MODULES_DEP.replaceAll('.ko', `.ko${suffix}`);
const merged: Files = { '/lib': '-> usr/lib', '/bin': '-> usr/bin', '/sbin': '-> usr/sbin' };
const modern: Files = { ...merged, '/usr/lib/systemd/system/systemd-network-generator.service': null };

/**
 * Guests of real distributions' shapes as VMware leaves them: what their files are called, how they are
 * written, what is in the initramfs.
 */
export const DISTRIBUTIONS: Record<string, GuestRecipe> = {
  'Debian 12, BIOS, ifupdown': {
    files: {
      ...modern,
      ...modulesOf('6.1.0-18-amd64'),
      '/etc/fstab':
        '# <file system> <mount point> <type> <options> <dump> <pass>\n/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:0:0-part1\t/\text4\terrors=remount-ro\t0\t1\n/dev/sda5\tnone\tswap\tsw\t0\t0\n/dev/sr0\t/media/cdrom0\tudf,iso9660\tuser,noauto\t0\t0\n',
      '/etc/default/grub':
        'GRUB_DEFAULT=0\nGRUB_CMDLINE_LINUX_DEFAULT="quiet"\nGRUB_CMDLINE_LINUX=""\nGRUB_DISABLE_LINUX_UUID=true\n',
      '/boot/grub/grub.cfg':
        "menuentry 'Debian GNU/Linux' {\n\tset root='hd0,msdos1'\n\tlinux\t/boot/vmlinuz-6.1.0-18-amd64 root=/dev/sda1 ro  quiet\n\tinitrd\t/boot/initrd.img-6.1.0-18-amd64\n}\n",
      '/boot/grub/device.map': '(hd0)\t/dev/sda\n',
      '/etc/initramfs-tools/modules':
        '# List of modules that you want to include in your initramfs.\nvmw_pvscsi\n',
      '/etc/initramfs-tools/conf.d/resume': 'RESUME=/dev/sda5\n',
      '/usr/sbin/update-initramfs': null,
      '/etc/network/interfaces':
        'source /etc/network/interfaces.d/*\n\nauto lo\niface lo inet loopback\n\nallow-hotplug ens192\niface ens192 inet static\n\taddress 10.1.2.3/24\n\tgateway 10.1.2.1\n',
      '/usr/lib/systemd/system/open-vm-tools.service': null,
      '/usr/lib/systemd/system/vgauth.service': null,
      '/usr/lib/systemd/system/run-vmblock\\x2dfuse.mount': null,
      '/etc/systemd/system/vmtoolsd.service': '-> /usr/lib/systemd/system/open-vm-tools.service',
    },
    filesystems: [
      filesystem('/dev/sda1', 'ext4', 'root-uuid', { mountpoint: '/' }),
      filesystem('/dev/sda5', 'swap', 'swap-uuid'),
    ],
    identity: { kernels: [kernelOf('6.1.0-18-amd64', VMWARE_MODULES)], vmware_tools: 'open-vm-tools' },
  },
  'RHEL 9, UEFI, LVM, NetworkManager': {
    files: {
      ...modern,
      ...modulesOf('5.14.0-427.el9.x86_64', '/usr/lib/modules', compressed('.xz')),
      '/etc/fstab':
        '/dev/mapper/rhel-root   /                       xfs     defaults        0 0\nUUID=boot-uuid          /boot                   xfs     defaults        0 0\nUUID=1234-ABCD          /boot/efi               vfat    umask=0077      0 2\n/dev/mapper/rhel-swap   none                    swap    defaults        0 0\n',
      '/boot/loader/entries/abc-5.14.0-427.el9.x86_64.conf':
        'title Red Hat Enterprise Linux (5.14.0-427.el9.x86_64) 9.4 (Plow)\noptions root=/dev/mapper/rhel-root ro crashkernel=1G resume=/dev/mapper/rhel-swap rd.lvm.lv=rhel/root rhgb quiet\n',
      '/boot/grub2/grub.cfg': 'set timeout=5\nblscfg\n',
      '/etc/lvm/devices/system.devices':
        '# LVM uses devices listed in this file.\nIDTYPE=devname IDNAME=/dev/sda3 DEVNAME=/dev/sda3 PVID=abc PART=3\n',
      '/etc/dracut.conf.d/hostonly.conf': 'hostonly=yes\n',
      '/usr/bin/dracut': null,
      '/etc/NetworkManager/system-connections/ens192.nmconnection': `[connection]\nid=ens192\ntype=ethernet\ninterface-name=ens192\n\n[ethernet]\nmac-address=${MAC.toUpperCase()}\n\n[ipv4]\nmethod=manual\naddress1=10.1.2.3/24,10.1.2.1\n`,
      '/boot/efi/EFI/BOOT/BOOTX64.EFI': null,
      '/boot/efi/EFI/BOOT/fbx64.efi': null,
      '/boot/efi/EFI/redhat/BOOTX64.CSV': null,
      '/boot/efi/EFI/redhat/shimx64.efi': null,
      '/boot/efi/EFI/redhat/grubx64.efi': null,
      '/boot/efi/EFI/redhat/mmx64.efi': null,
      '/boot/efi/EFI/redhat/grub.cfg': 'search --no-floppy --root-dev-only --fs-uuid --set=dev boot-uuid\n',
      '/usr/lib/systemd/system/vmtoolsd.service': null,
      '/usr/lib/systemd/system/vgauthd.service': null,
    },
    filesystems: [
      filesystem('/dev/sda1', 'vfat', '1234-ABCD'),
      filesystem('/dev/sda2', 'xfs', 'boot-uuid'),
      filesystem('/dev/rhel/root', 'xfs', 'root-uuid', { mountpoint: '/' }),
    ],
    identity: {
      os_distro: 'rhel',
      firmware: 'uefi',
      initramfs_tool: 'dracut',
      kernels: [
        kernelOf('5.14.0-427.el9.x86_64', VMWARE_MODULES, {
          path: '/boot/initramfs-5.14.0-427.el9.x86_64.img',
        }),
      ],
    },
  },
  'CentOS 6, GRUB legacy, upstart': {
    files: {
      ...modulesOf('2.6.32-754.el6.x86_64', '/lib/modules', MODULES_DEP_2_6),
      '/etc/fstab':
        '/dev/sda2 / ext4 defaults 1 1\n/dev/sda1 /boot ext4 defaults 1 2\n/dev/sda3 swap swap defaults 0 0\ntmpfs /dev/shm tmpfs defaults 0 0\n',
      '/boot/grub/grub.conf':
        '#boot=/dev/sda\ndefault=0\ntitle CentOS (2.6.32-754.el6.x86_64)\n\troot (hd0,0)\n\tkernel /vmlinuz-2.6.32-754.el6.x86_64 ro root=/dev/sda2 rd_NO_LUKS rhgb quiet\n\tinitrd /initramfs-2.6.32-754.el6.x86_64.img\n',
      '/boot/grub/menu.lst': '-> ./grub.conf',
      '/boot/grub/device.map': '# this device map was generated by anaconda\n(hd0)     /dev/sda\n',
      '/etc/dracut.conf': '# dracut config file\n',
      '/etc/dracut.conf.d/empty.conf': '',
      '/sbin/dracut': null,
      '/sbin/mkinitrd': null,
      '/etc/sysconfig/network-scripts/ifcfg-eth0': `DEVICE=eth0\nHWADDR=${MAC.toUpperCase()}\nTYPE=Ethernet\nONBOOT=yes\nBOOTPROTO=static\nIPADDR=10.1.2.3\nNETMASK=255.255.255.0\n`,
      '/etc/udev/rules.d/70-persistent-net.rules': `# PCI device 0x15ad:0x07b0 (vmxnet3)\nSUBSYSTEM=="net", ACTION=="add", DRIVERS=="?*", ATTR{address}=="${MAC}", ATTR{type}=="1", KERNEL=="eth*", NAME="eth0"\n`,
      '/etc/rc.d/rc3.d/S03vmware-tools': '-> ../init.d/vmware-tools',
    },
    filesystems: [
      filesystem('/dev/sda1', 'ext4', 'boot-uuid'),
      filesystem('/dev/sda2', 'ext4', 'root-uuid', { mountpoint: '/' }),
      filesystem('/dev/sda3', 'swap', 'swap-uuid'),
    ],
    identity: {
      os_distro: 'centos',
      init_system: 'upstart',
      bootloader: 'grub-legacy',
      kernels: [
        {
          ...kernelOf('2.6.32-754.el6.x86_64', VMWARE_MODULES, {
            lib: 'lib',
            path: '/boot/initramfs-2.6.32-754.el6.x86_64.img',
          }),
          modules: '/lib/modules/2.6.32-754.el6.x86_64',
        },
      ],
    },
  },
  'Ubuntu 22.04, netplan, drivers inside': {
    files: {
      ...modern,
      ...modulesOf('5.15.0-100-generic'),
      '/etc/fstab':
        '# / was on /dev/sda2 during curtin installation\n/dev/disk/by-uuid/root-uuid / ext4 defaults 0 1\n/swap.img\tnone\tswap\tsw\t0\t0\n',
      '/boot/grub/grub.cfg': '\tlinux\t/boot/vmlinuz-5.15.0-100-generic root=UUID=root-uuid ro\n',
      '/etc/netplan/00-installer-config.yaml':
        "# This is the network config written by 'subiquity'\nnetwork:\n  ethernets:\n    ens160:\n      dhcp4: true\n  version: 2\n",
      '/usr/sbin/update-initramfs': null,
    },
    filesystems: [filesystem('/dev/sda2', 'ext4', 'root-uuid', { mountpoint: '/' })],
    identity: {
      os_distro: 'ubuntu',
      kernels: [
        kernelOf('5.15.0-100-generic', [
          ...VMWARE_MODULES,
          'vmxnet3',
          'virtio',
          'virtio_ring',
          'virtio_blk',
          'virtio_net',
          'virtio_pci',
          'virtio_pci_legacy_dev',
          'virtio_pci_modern_dev',
          'virtio_scsi',
          'net_failover',
          'failover',
        ]),
      ],
    },
    hardware: { nics: [{ mac: MAC, network: 'VM Network', model: 'vmxnet3' }] },
  },
  'Arch, systemd-boot, networkd': {
    files: {
      ...modern,
      ...modulesOf('6.8.1-arch1-1', '/usr/lib/modules', compressed('.zst')),
      '/etc/fstab': '/dev/sda2 / ext4 rw,relatime 0 1\n/dev/sda1 /boot vfat rw,relatime 0 2\n',
      '/boot/loader/entries/arch.conf':
        'title Arch Linux\nlinux /vmlinuz-linux\ninitrd /initramfs-linux.img\noptions root=/dev/sda2 rw\n',
      '/boot/EFI/systemd/systemd-bootx64.efi': null,
      '/boot/EFI/BOOT/BOOTX64.EFI': null,
      '/boot/loader/loader.conf': 'default arch.conf\ntimeout 3\n',
      '/etc/mkinitcpio.d/linux.preset': "ALL_kver=\"/boot/vmlinuz-linux\"\nPRESETS=('default' 'fallback')\n",
      '/etc/mkinitcpio.conf': 'MODULES=()\nBINARIES=()\nHOOKS=(base udev autodetect block filesystems)\n',
      '/usr/bin/mkinitcpio': null,
      '/etc/systemd/network/20-wired.network': '[Match]\nName=ens33\n\n[Network]\nDHCP=yes\n',
    },
    filesystems: [
      filesystem('/dev/sda1', 'vfat', '1234-ABCD'),
      filesystem('/dev/sda2', 'ext4', 'root-uuid', { mountpoint: '/' }),
    ],
    identity: {
      os_distro: 'arch',
      firmware: 'uefi',
      bootloader: 'systemd-boot',
      kernels: [kernelOf('6.8.1-arch1-1', VMWARE_MODULES, { path: '/boot/initramfs-linux.img' })],
    },
  },
  'Alpine, extlinux, mkinitfs': {
    files: {
      ...modulesOf('6.6.20-0-lts', '/lib/modules', compressed('.gz')),
      '/etc/fstab':
        '/dev/sda3\t/\text4\trw,relatime 0 1\n/dev/sda1\t/boot\text4\trw,relatime 0 2\n/dev/sda2\tswap\tswap\tdefaults\t0 0\n/dev/cdrom\t/media/cdrom\tiso9660\tnoauto,ro 0 0\n',
      '/boot/extlinux.conf':
        'DEFAULT lts\nLABEL lts\n  LINUX vmlinuz-lts\n  INITRD initramfs-lts\n  APPEND root=/dev/sda3 modules=sd-mod,usb-storage,ext4 quiet rootfstype=ext4\n',
      '/etc/update-extlinux.conf':
        'default_kernel_opts="quiet rootfstype=ext4"\nmodules=sd-mod,usb-storage,ext4\nroot=/dev/sda3\n',
      '/etc/init.d/open-vm-tools': '#!/sbin/openrc-run\n',
      '/etc/runlevels/default/open-vm-tools': '-> /etc/init.d/open-vm-tools',
      '/etc/mkinitfs/mkinitfs.conf': 'features="ata base ext4 keymap scsi"\n',
      '/sbin/mkinitfs': null,
      '/etc/network/interfaces': 'auto lo\niface lo inet loopback\n\nauto eth0\niface eth0 inet dhcp\n',
    },
    filesystems: [
      filesystem('/dev/sda1', 'ext4', 'boot-uuid'),
      filesystem('/dev/sda2', 'swap', 'swap-uuid'),
      filesystem('/dev/sda3', 'ext4', 'root-uuid', { mountpoint: '/' }),
    ],
    identity: {
      os_distro: 'alpine',
      init_system: 'openrc',
      bootloader: 'extlinux',
      kernels: [
        {
          ...kernelOf('6.6.20-0-lts', VMWARE_MODULES, { lib: 'lib', path: '/boot/initramfs-lts' }),
          modules: '/lib/modules/6.6.20-0-lts',
        },
      ],
    },
  },
};
