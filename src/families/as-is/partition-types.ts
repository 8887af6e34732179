import type { Storage } from '../../access/storage.js';
import type { Filesystem } from '../../model/identity.js';
import type { OtherSystem } from '../base/as-is.js';

type Named = Pick<OtherSystem, 'os_type' | 'distro' | 'name'>;

const FREEBSD: Named = { os_type: 'freebsd', distro: 'freebsd', name: 'FreeBSD' };
const OPENBSD: Named = { os_type: 'openbsd', distro: 'openbsd', name: 'OpenBSD' };
const NETBSD: Named = { os_type: 'netbsd', distro: 'netbsd', name: 'NetBSD' };
const DRAGONFLY: Named = { os_type: 'dragonfly', distro: 'dragonfly', name: 'DragonFly BSD' };
const ILLUMOS: Named = { os_type: 'illumos', distro: 'illumos', name: 'illumos or Solaris' };
const HAIKU: Named = { os_type: 'haiku', distro: 'haiku', name: 'Haiku or BeOS' };
const ESXI: Named = { os_type: 'esxi', distro: 'esxi', name: 'VMware ESXi' };
const MACOS: Named = { os_type: 'unknown', distro: 'macos', name: 'macOS' };
const CHROMEOS: Named = { os_type: 'unknown', distro: 'chromeos', name: 'ChromeOS' };
const MINIX: Named = { os_type: 'unknown', distro: 'minix', name: 'MINIX' };
const PLAN9: Named = { os_type: 'unknown', distro: 'plan9', name: 'Plan 9' };
const QNX: Named = { os_type: 'unknown', distro: 'qnx', name: 'QNX' };
const ZFS: Named = { os_type: 'unknown', distro: 'zfs', name: 'a system on ZFS' };

/**
 * Systems by the types of their partitions, which nobody else uses: GPT's GUIDs and the bytes of an MBR. The type of
 * Solaris' root (6a85cf4d-…) is not among them: Linux on ZFS has it, too (OpenZFS' guides for Debian and Ubuntu).
 */
const PARTITION_TYPES: Readonly<Record<string, Named>> = {
  '83bd6b9d-7f41-11dc-be0b-001560b84f0f': FREEBSD,
  '516e7cb4-6ecf-11d6-8ff8-00022d09712b': FREEBSD,
  '516e7cb5-6ecf-11d6-8ff8-00022d09712b': FREEBSD,
  '516e7cb6-6ecf-11d6-8ff8-00022d09712b': FREEBSD,
  '516e7cb8-6ecf-11d6-8ff8-00022d09712b': FREEBSD,
  '516e7cba-6ecf-11d6-8ff8-00022d09712b': FREEBSD,
  '0xa5': FREEBSD,
  '824cc7a0-36a8-11e3-890a-952519ad3f61': OPENBSD,
  '0xa6': OPENBSD,
  '49f48d32-b10e-11dc-b99b-0019d1879648': NETBSD,
  '49f48d5a-b10e-11dc-b99b-0019d1879648': NETBSD,
  '49f48d82-b10e-11dc-b99b-0019d1879648': NETBSD,
  '49f48daa-b10e-11dc-b99b-0019d1879648': NETBSD,
  '0xa9': NETBSD,
  '61dc63ac-6e38-11dc-8513-01301bb8a9f5': DRAGONFLY,
  '9d58fdbd-1ca5-11dc-8817-01301bb8a9f5': DRAGONFLY,
  '9d94ce7c-1ca5-11dc-8817-01301bb8a9f5': DRAGONFLY,
  '0x6c': DRAGONFLY,
  '6a82cb45-1dd2-11b2-99a6-080020736631': ILLUMOS,
  '0xbf': ILLUMOS,
  '42465331-3ba3-10f1-802a-4861696b7521': HAIKU,
  '0xeb': HAIKU,
  '9d275380-40ad-11db-bf97-000c2911d1b8': ESXI,
  'aa31e02a-400f-11db-9590-000c2911d1b8': ESXI,
  '9198effc-31c0-11db-8f78-000c2911d1b8': ESXI,
  '4eb2ea39-7855-4790-a79e-fae495e21f8d': ESXI,
  '0xfb': ESXI,
  '0xfc': ESXI,
  '7c3457ef-0000-11aa-aa11-00306543ecac': MACOS,
  '0xaf': MACOS,
  'fe3a2a5d-4f32-41a7-b725-accc3285a309': CHROMEOS,
  '0x81': MINIX,
  'c91818f9-8025-47af-89d2-f030d7000c2c': PLAN9,
  '0x39': PLAN9,
  'cef5a9ad-73bc-4601-89f3-cdeeeee321a1': QNX,
  '0x4d': QNX,
  '0xb3': QNX,
};

/** Systems by what is in the partition, as blkid calls it. */
const CONTENT_TYPES: Readonly<Record<string, Named>> = { ufs: FREEBSD, befs: HAIKU, zfs_member: ZFS };

/** Products that give the pool or the filesystem of their root their own name. */
const LABELS: readonly [RegExp, Pick<OtherSystem, 'distro' | 'name'>][] = [
  [/^\/?pfSense/i, { distro: 'pfsense', name: 'pfSense' }],
  [/^\/?OPNsense/i, { distro: 'opnsense', name: 'OPNsense' }],
  [/^(?:freenas-)?boot-pool$|^freenas-boot$/, { distro: 'truenas', name: 'TrueNAS' }],
];

/**
 * Returns the system that the partitions' types, contents and labels name, or null. The type goes before the
 * content: ZFS is FreeBSD's where it is in a partition of FreeBSD's. Pure.
 */
export function systemOfPartitions({ partitions, filesystems }: Storage): OtherSystem | null {
  for (const filesystem of filesystems) {
    const named = namedBy(filesystem);
    if (named !== null)
      return labelled(
        { ...named, version: '', device: filesystem.device, disk: filesystem.disk },
        filesystems,
      );
  }
  // A partition of which libguestfs makes no device, such as the slice below a BSD disk label.
  for (const { disk, partitions: entries } of partitions)
    for (const { type, number } of entries) {
      const named = PARTITION_TYPES[type];
      if (named !== undefined)
        return labelled(
          { ...named, version: '', device: `partition ${number} of disk ${disk}`, disk },
          filesystems,
        );
    }
  return null;
}

function namedBy({ parttype, type }: Filesystem): Named | null {
  return PARTITION_TYPES[parttype ?? ''] ?? CONTENT_TYPES[type] ?? null;
}

function labelled(system: OtherSystem, filesystems: readonly Filesystem[]): OtherSystem {
  for (const { label, partlabel } of filesystems)
    for (const [pattern, product] of LABELS)
      if ([label, partlabel].some((text) => text !== null && pattern.test(text)))
        return { ...system, ...product };
  return system;
}
