import { configSchema } from '../../../src/config/schema.js';
import type { Guest } from '../../../src/families/base/fixer.js';
import { GuestTree, type TreeEntry } from '../../../src/guest/tree.js';
import type { Filesystem, Kernel, LinuxIdentity } from '../../../src/model/identity.js';
import type { Operation } from '../../../src/operations/registry.js';

/**
 * Files of a guest by path: text, a link (`-> target`), or null for a name without content; a path that ends
 * with `/` is an empty directory.
 */
export type Files = Record<string, string | null>;

export function treeOf(files: Files): GuestTree {
  const entries = new Map<string, TreeEntry>();
  const owner = { uid: 0, gid: 0 };
  for (const [path, text] of Object.entries(files)) {
    // `/etc/empty/`: a directory.
    const isDirectory = path.endsWith('/');
    for (let slash = path.indexOf('/', 1); slash !== -1; slash = path.indexOf('/', slash + 1)) {
      const directory = path.slice(0, slash);
      if (!entries.has(directory))
        entries.set(directory, { path: directory, type: 'directory', mode: 0o755, size: 0, ...owner });
    }
    if (isDirectory) continue;
    if (text?.startsWith('-> ')) {
      entries.set(path, { path, type: 'symlink', mode: 0o777, size: 0, target: text.slice(3), ...owner });
    } else {
      const content = text === null ? {} : { content: Buffer.from(text) };
      entries.set(path, { path, type: 'file', mode: 0o644, size: text?.length ?? 0, ...content, ...owner });
    }
  }
  return new GuestTree(entries.values());
}

export function filesystem(
  device: string,
  type: string,
  uuid: string | null,
  more: Partial<Filesystem> = {},
): Filesystem {
  const [, letter = 'a', number = '0'] = /^\/dev\/sd([a-z])(\d*)$/.exec(device) ?? [];
  const onDisk = /^\/dev\/sd/.test(device);
  return {
    device,
    type,
    uuid,
    label: null,
    size: 1 << 30,
    disk: onDisk ? letter.charCodeAt(0) - 97 : null,
    partition: onDisk ? Number(number || 0) : null,
    partuuid: onDisk && number !== '' ? `deadbeef-0${number}` : null,
    partlabel: null,
    parttype: null,
    mountpoint: null,
    ...more,
  };
}

export const VERSION = '6.1.0-18-amd64';

/** modules.dep as depmod writes it on Debian 12 (relative paths), cut down to what matters here. */
export const MODULES_DEP = `kernel/drivers/virtio/virtio.ko:
kernel/drivers/virtio/virtio_ring.ko:
kernel/drivers/virtio/virtio_pci_legacy_dev.ko:
kernel/drivers/virtio/virtio_pci_modern_dev.ko:
kernel/drivers/virtio/virtio_pci.ko: kernel/drivers/virtio/virtio_pci_legacy_dev.ko kernel/drivers/virtio/virtio_pci_modern_dev.ko kernel/drivers/virtio/virtio.ko kernel/drivers/virtio/virtio_ring.ko
kernel/drivers/block/virtio_blk.ko: kernel/drivers/virtio/virtio.ko kernel/drivers/virtio/virtio_ring.ko
kernel/drivers/scsi/virtio_scsi.ko: kernel/drivers/scsi/scsi_mod.ko kernel/drivers/virtio/virtio.ko kernel/drivers/virtio/virtio_ring.ko
kernel/drivers/scsi/scsi_mod.ko:
kernel/drivers/scsi/sd_mod.ko: kernel/drivers/scsi/scsi_mod.ko
kernel/net/core/failover.ko:
kernel/drivers/net/net_failover.ko: kernel/net/core/failover.ko
kernel/drivers/net/virtio_net.ko: kernel/drivers/net/net_failover.ko kernel/net/core/failover.ko kernel/drivers/virtio/virtio.ko kernel/drivers/virtio/virtio_ring.ko
kernel/drivers/scsi/vmw_pvscsi.ko: kernel/drivers/scsi/scsi_mod.ko
`;

const without = (dep: string, names: RegExp) =>
  dep
    .split('\n')
    .filter((line) => !names.test(line.split(':')[0] ?? ''))
    .map((line) =>
      line
        .split(' ')
        .filter((word, index) => index === 0 || !names.test(word))
        .join(' '),
    )
    .join('\n');

/** Before 5.12: virtio_pci has all in one. */
export const MODULES_DEP_4_18 = without(MODULES_DEP, /virtio_pci_(legacy|modern)_dev/);
/** Before 4.18: no failover either. */
export const MODULES_DEP_2_6 = without(MODULES_DEP_4_18, /failover/);

export function modulesOf(
  version: string,
  root = '/usr/lib/modules',
  dep = MODULES_DEP,
  builtin = '',
): Files {
  const directory = `${root}/${version}`;
  return {
    [`${directory}/modules.dep`]: dep,
    [`${directory}/modules.alias`]: 'alias virtio:d00000002v* virtio_blk\n',
    [`${directory}/modules.builtin`]: builtin,
    [`${directory}/modules.softdep`]: '',
    [`${directory}/modules.order`]: '',
  };
}

export function kernelOf(
  version: string,
  modules: readonly string[],
  more: Partial<NonNullable<Kernel['initramfs']>> = {},
): Kernel {
  return {
    version,
    image: `/boot/vmlinuz-${version}`,
    modules: `/usr/lib/modules/${version}`,
    initramfs: {
      path: `/boot/initrd.img-${version}`,
      size: 10_000_001,
      segments: [{ compression: 'zstd', offset: 0, size: 10_000_001, entries: 200 }],
      modules: [...modules].sort(),
      lib: 'usr/lib',
      unreadable: null,
      ...more,
    },
  };
}

export const VMWARE_MODULES = ['scsi_mod', 'sd_mod', 'vmw_pvscsi'];

export interface GuestRecipe {
  files?: Files;
  filesystems?: Filesystem[];
  identity?: Partial<LinuxIdentity>;
  hardware?: Partial<Guest['hardware']>;
  options?: Partial<Guest['options']>;
  controllers?: (string | null)[];
  packages?: Guest['packages'];
}

export function guestOf({
  files = {},
  filesystems = [],
  identity,
  hardware,
  options,
  controllers,
  packages,
}: GuestRecipe): Guest {
  return {
    vm: 'guest',
    identity: {
      os_type: 'linux',
      os_distro: 'debian',
      os_version: '12',
      os_name: 'Debian GNU/Linux 12 (bookworm)',
      firmware: 'bios',
      bootloader: 'grub2',
      init_system: 'systemd',
      network_manager: [],
      architecture: 'x86_64',
      hostname: 'guest',
      kernels: [],
      unified_images: [],
      initramfs_tool: 'initramfs-tools',
      package_manager: 'apt',
      partitions: [],
      filesystems,
      root: filesystems.find(({ mountpoint }) => mountpoint === '/')?.device ?? '/dev/sda1',
      mounts: [],
      encrypted: false,
      qemu_guest_agent: false,
      vmware_tools: 'none',
      selinux: false,
      ...identity,
    },
    hardware: {
      name: null,
      memory_mib: null,
      vcpus: null,
      firmware: null,
      nics: [],
      os_hint: null,
      ...hardware,
    },
    tree: treeOf(files),
    registry: [],
    options: { ...configSchema.parse({}).fix, ...options },
    controllers: controllers ?? [null],
    packages: packages ?? { directory: '', files: [] },
    drivers: null,
    firstBootProgram: null,
    firstBootScripts: [],
  };
}

/** Paths that operations touch, in order. */
export const pathsOf = (operations: readonly Operation[]) =>
  operations.flatMap((operation) => {
    if ('path' in operation) return [operation.path];
    return 'command' in operation ? [operation.command.join(' ')] : operation.files.map(({ path }) => path);
  });

/** What a file holds after `operations`; undefined when they do not write it, null when they remove it. */
export function textAfter(operations: readonly Operation[], path: string): string | null | undefined {
  const last = operations.findLast((operation) => 'path' in operation && operation.path === path);
  if (last?.op === 'write_file') return last.after;
  return last?.op === 'remove' ? null : undefined;
}

/** The lines that differ, `-` before and `+` after: the shape that a golden test is read in. */
export function changedLines(before: string, after: string): string[] {
  const [old, fresh] = [before.split('\n'), after.split('\n')];
  return [
    ...old.filter((line) => !fresh.includes(line)).map((line) => `-${line}`),
    ...fresh.filter((line) => !old.includes(line)).map((line) => `+${line}`),
  ];
}

export const nic = (mac: string | null) => ({ mac, network: null, model: 'vmxnet3' });
