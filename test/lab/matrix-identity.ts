import type { LinuxIdentity } from '#hyper2kvm/model/identity.js';
import { hasKernelOnEsp } from './boot-loaders.ts';
import { filesystemsOf, layOut } from './layout.ts';
import type { GuestRecipe } from './recipes.ts';

const BOOTLOADERS = {
  grub: 'grub2',
  'systemd-boot': 'systemd-boot',
  'systemd-boot-unified': 'systemd-boot',
  unified: 'unknown',
  extlinux: 'extlinux',
} as const;
const VERSIONS = { bullseye: '11', bookworm: '12', trixie: '13' } as const;
const SCHEMES = { dos: 'mbr', gpt: 'gpt' } as const;

/** Holds what INSPECT found against what the guest was made of, field by field. Pure. */
export function identityFaults(recipe: GuestRecipe, identity: LinuxIdentity): string[] {
  const wanted: Partial<LinuxIdentity> = {
    ...{ os_type: 'linux', os_distro: 'debian', os_version: VERSIONS[recipe.release] },
    ...{ architecture: 'x86_64', init_system: 'systemd', package_manager: 'apt', selinux: false },
    firmware: recipe.firmware,
    bootloader: BOOTLOADERS[recipe.loader ?? 'grub'],
    hostname: recipe.name,
    initramfs_tool: recipe.initramfs.tool,
    encrypted: (recipe.volumes ?? []).some(({ kind }) => kind === 'luks'),
    vmware_tools: 'open-vm-tools',
    qemu_guest_agent: false,
  };
  const wrong = Object.entries(wanted).filter(
    ([key, value]) => identity[key as keyof LinuxIdentity] !== value,
  );
  const { backend } = recipe.network;
  return [
    ...wrong.map(
      ([key, value]) =>
        `identity.${key} is ${String(identity[key as keyof LinuxIdentity])} instead of ${value}`,
    ),
    ...(identity.network_manager.includes(backend)
      ? []
      : [`identity.network_manager is ${identity.network_manager.join(' ')} without ${backend}`]),
    ...kernelFaults(recipe, identity),
    ...partitionFaults(recipe, identity),
    ...filesystemFaults(recipe, identity),
  ];
}

/**
 * Each guest has one kernel, with modules and an initramfs that can be read; what starts from the ESP has a
 * copy of both there.
 */
function kernelFaults(recipe: GuestRecipe, { kernels }: LinuxIdentity): string[] {
  const whole = kernels.filter(
    ({ modules, initramfs }) => modules !== null && initramfs !== null && initramfs.unreadable === null,
  );
  const copies = hasKernelOnEsp(recipe) ? 2 : 1;
  const versions = new Set(kernels.map(({ version }) => version));
  const isOld =
    [...versions].every((version) => version.startsWith('3.')) === (recipe.withoutVirtio1 === true);
  return kernels.length === copies && whole.length === copies && versions.size === 1 && isOld
    ? []
    : [
        `identity.kernels has ${kernels.length}, of which ${whole.length} are whole, of version ${[...versions].join(' ')}`,
      ];
}

function partitionFaults(recipe: GuestRecipe, { partitions }: LinuxIdentity): string[] {
  const text = (scheme: string, parts: readonly { number: number; start: number; size: number }[]) =>
    `${scheme} ${parts.map(({ number, start, size }) => `${number}:${start}+${size}`).join(' ')}`;
  return layOut(recipe).flatMap(({ label, partitions: made }, index) => {
    const found = partitions.find(({ disk }) => disk === index);
    const want = text(
      SCHEMES[label],
      made.map(({ number, offset, size }) => ({ number, start: offset, size })),
    );
    const is = found === undefined ? 'nothing' : text(found.scheme, found.partitions);
    return is === want ? [] : [`identity.partitions of disk ${index} are ${is} instead of ${want}`];
  });
}

/** By UUID: type, and the place in the tree (of a btrfs, one of its subvolumes'). */
function filesystemFaults(recipe: GuestRecipe, { filesystems, root }: LinuxIdentity): string[] {
  const made = filesystemsOf(recipe);
  return made.flatMap(({ uuid, filesystem, mount, unit }) => {
    const found = filesystems.find((candidate) => candidate.uuid === uuid);
    if (found === undefined) return [`identity.filesystems lacks ${filesystem} of ${mount}`];
    const places = made.filter((other) => other.uuid === uuid).map((other) => other.mount);
    return [
      ...(found.type === filesystem ? [] : [`${found.device} is ${found.type} instead of ${filesystem}`]),
      ...(filesystem === 'swap' || unit || places.includes(found.mountpoint ?? '')
        ? []
        : [`${found.device} is at ${found.mountpoint} instead of ${mount}`]),
      ...(mount === '/' && found.device !== root
        ? [`identity.root is ${root} instead of ${found.device}`]
        : []),
    ];
  });
}
