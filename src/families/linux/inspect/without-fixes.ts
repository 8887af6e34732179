import { parseOsRelease } from '../../../guest/os-release.js';
import type { GuestTree } from '../../../guest/tree.js';
import type { OtherSystem } from '../../base/as-is.js';

interface Unfixable extends Pick<OtherSystem, 'distro' | 'name' | 'version'> {
  reason: string;
}

interface Kind {
  name: string;
  /** IDs of os-release(5), and a file that only such a system has, if there is one. */
  ids: readonly string[];
  file: string | null;
  why: string;
}

const KINDS: readonly Kind[] = [
  {
    name: 'NixOS',
    ids: ['nixos'],
    file: '/etc/NIXOS',
    why: 'its /etc, initramfs and boot loader are made from configuration.nix, which takes back any other change',
  },
  {
    name: 'Guix System',
    ids: ['guix'],
    file: null,
    why: 'its /etc, initramfs and boot loader are made from its configuration, which takes back any other change',
  },
  {
    name: 'OpenWrt',
    ids: ['openwrt'],
    file: '/etc/openwrt_release',
    why: 'it is one firmware image with its own configuration (UCI), and has no initramfs',
  },
  {
    name: 'VyOS',
    ids: ['vyos'],
    file: null,
    why: 'its files are made from its own configuration at each start',
  },
];

/** Returns a Linux system whose files are made from something else at each rebuild or start, or null. Pure. */
export function systemWithoutFixes(tree: GuestTree): Unfixable | null {
  const text = tree.text('/etc/os-release')?.text ?? tree.text('/usr/lib/os-release')?.text ?? '';
  const { id, version, name } = parseOsRelease(text);
  const kind = KINDS.find(({ ids, file }) => ids.includes(id) || (file !== null && tree.exists(file)));
  if (kind === undefined) return null;
  const own = name === '' ? kind.name : name;
  return {
    distro: id || (kind.ids[0] ?? 'linux'),
    name: own,
    version,
    reason: `the system is ${own}: ${kind.why}`,
  };
}
