import { TPM_EMULATOR } from '../machine/tpm.js';
import { PICTURE_READER } from '../tools/read-picture.js';
import type { PackageFacts } from './facts.js';

/**
 * Debian's packages of what hyper2kvm starts or loads (docs/security.md lists the programs). Every Debian
 * system has util-linux and gzip (`Essential: yes`).
 */
const DEPENDS = [
  'systemd',
  'bubblewrap',
  'passwd',
  'qemu-utils',
  'qemu-system-x86',
  'ovmf',
  'libguestfs0',
  'supermin',
  'libsystemd0',
  'libstdc++6',
  'libgcc-s1',
  'xz-utils',
  'zstd',
  'lz4',
  'lzop',
  'bzip2',
  'acl',
] as const;
/** libguestfs needs a kernel in /boot, no matter which; 7-Zip reads the virtio-win ISO; ssh reaches guests and ESXi. */
const RECOMMENDS = [
  'libguestfs-xfs',
  'ntfs-3g',
  'p7zip-full | 7zip',
  'openssh-client',
  'linux-image-amd64 | linux-image-cloud-amd64 | linux-image-generic',
] as const;
/** Emulator and firmware for the boot test of aarch64 guests; for Windows, a TPM and the text on its screens. */
const SUGGESTS = [
  'libvirt-clients',
  'qemu-system-arm',
  'qemu-efi-aarch64',
  TPM_EMULATOR.debian,
  PICTURE_READER.debian,
] as const;

/** Returns DEBIAN/control in the form of deb-control(5). Pure. `installedKib` is the size of all files. */
export function controlFile(facts: PackageFacts, installedKib: number): string {
  const fields: readonly [string, string][] = [
    ['Package', 'hyper2kvm'],
    ['Version', facts.version],
    ['Architecture', 'amd64'],
    ['Maintainer', 'hyper2kvm maintainers <hyper2kvm@packages.invalid>'],
    ['Installed-Size', String(installedKib)],
    ['Depends', [`libc6 (>= ${facts.glibc})`, ...DEPENDS].join(', ')],
    ['Recommends', RECOMMENDS.join(', ')],
    ['Suggests', SUGGESTS.join(', ')],
    ['Section', 'admin'],
    ['Priority', 'optional'],
    [
      'Description',
      'turns VM disks of any hypervisor into VMs that boot on KVM\n' +
        ' A service that watches a directory: a VMware, Hyper-V or VirtualBox disk that\n' +
        ' is dropped there becomes a qcow2 image with a libvirt domain, repaired inside\n' +
        ' where it must be, and boots in a test before it is handed over.\n' +
        ' .\n' +
        ` Node ${facts.nodeVersion} comes with it, in /usr/lib/hyper2kvm: Debian 12's own is\n too old.`,
    ],
  ];
  return fields.map(([name, value]) => `${name}: ${value}\n`).join('');
}

/**
 * Returns the newest glibc symbol version among those that a binary needs (`readelf --version-info`). Pure.
 * Throws a RangeError if it needs none.
 */
export function newestGlibc(versionInfo: string): string {
  const versions = [...versionInfo.matchAll(/\bGLIBC_(\d+)\.(\d+)/g)].map(
    ([, major, minor]) => [Number(major), Number(minor)] as const,
  );
  const newest = versions.sort(([a, b], [c, d]) => c - a || d - b)[0];
  if (newest === undefined) throw new RangeError('no glibc version is needed');
  return newest.join('.');
}

/**
 * Libraries that the bundled Node may need: those in Depends. Other builds of Node use libnode from their own
 * package.
 */
const ALLOWED_LIBRARIES = /^(ld-linux-x86-64|libc|libm|libdl|libpthread|libstdc\+\+|libgcc_s)\.so/;

/** Returns the libraries of a binary (`readelf --dynamic`) that would be missing on another machine. Pure. */
export function foreignLibraries(dynamic: string): string[] {
  return [...dynamic.matchAll(/\(NEEDED\).*\[(.+)\]/g)]
    .map(([, library]) => library!)
    .filter((library) => !ALLOWED_LIBRARIES.test(library));
}
