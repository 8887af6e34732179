import { BASE_PACKAGES, type GuestRecipe, IFUPDOWN_PACKAGES, RECIPES, UEFI_PACKAGES } from './recipes.ts';

const SERVER_PACKAGES = ['openssh-server', 'sudo'] as const;

/** Guests with an SSH server, to be prepared while they run. The first is one of `npm test`. */
export const LIVE_RECIPES = {
  'bookworm-live': {
    ...RECIPES['bookworm-bios'],
    name: 'bookworm-live',
    packages: [...RECIPES['bookworm-bios'].packages, ...SERVER_PACKAGES],
  },
  'trixie-live': {
    name: 'trixie-live',
    release: 'trixie',
    firmware: 'uefi',
    disks: [
      {
        label: 'gpt',
        partitions: [
          { mount: '/boot/efi', filesystem: 'vfat', sizeMib: 64, namedBy: 'by-path' },
          { mount: '/boot', filesystem: 'ext4', sizeMib: 256, namedBy: 'by-path' },
          { mount: '/', filesystem: 'ext4', sizeMib: 1792, namedBy: 'kernel' },
          { mount: 'swap', filesystem: 'swap', sizeMib: 128, namedBy: 'kernel' },
        ],
      },
    ],
    initramfs: {
      tool: 'dracut',
      modules: [...RECIPES['bookworm-bios'].initramfs.modules],
      omit: ['virtio.*', '.*virtio'],
    },
    network: { backend: 'ifupdown', interface: 'ens192', mac: '00:50:56:03:00:01', pin: 'link' },
    packages: [
      ...BASE_PACKAGES.filter((name) => name !== 'initramfs-tools'),
      'dracut',
      ...IFUPDOWN_PACKAGES,
      ...UEFI_PACKAGES,
      ...SERVER_PACKAGES,
    ],
  },
} as const satisfies Record<string, GuestRecipe>;
