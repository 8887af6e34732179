import { arrayArguments, rootName } from './boot-loaders.ts';
import { cloudInitFiles, SSH_HOST_KEY } from './cloud-init.ts';
import { filesystemsOf, hexFrom } from './layout.ts';
import { networkFiles } from './network-files.ts';
import type { GuestRecipe } from './recipes.ts';
import { storageFiles } from './storage-files.ts';

/** A file (or link) of the guest by absolute path. Modes default to 0644. */
export type GuestFile = { content: string; mode?: number } | { link: string };
export type GuestFiles = Record<string, GuestFile>;

/**
 * The configuration that a VMware guest has and that stops it on KVM: device names in fstab and GRUB, an
 * initramfs with VMware's drivers only, a network name tied to VMware's driver. Pure: the same recipe gives
 * the same files.
 */
export function guestFiles(recipe: GuestRecipe): GuestFiles {
  return {
    '/etc/hostname': { content: `${recipe.name}\n` },
    '/etc/hosts': { content: `127.0.0.1\tlocalhost\n127.0.1.1\t${recipe.name}\n` },
    // A guest that has run has its id; without one systemd would treat the boot as the first.
    '/etc/machine-id': { content: `${hexFrom(`${recipe.name}/machine-id`).slice(0, 32)}\n`, mode: 0o444 },
    '/etc/fstab': { content: fstab(recipe) },
    ...(recipe.loader === undefined ? { '/etc/default/grub': { content: defaultGrub(recipe) } } : {}),
    ...initramfsFiles(recipe),
    ...storageFiles(recipe),
    ...networkFiles(recipe),
    ...cloudInitFiles(recipe),
    ...reportFiles(recipe),
    ...quietFiles(),
  };
}

/**
 * What no test asks of a guest and costs seconds of each boot: the journal on the disk, timers, and checks
 * that nobody reads.
 */
function quietFiles(): GuestFiles {
  const unneeded = [
    ...['apt-daily.timer', 'apt-daily-upgrade.timer', 'dpkg-db-backup.timer', 'fstrim.timer'],
    ...['e2scrub_all.timer', 'e2scrub_reap.service', 'systemd-update-utmp.service'],
  ];
  return {
    '/etc/systemd/journald.conf.d/volatile.conf': { content: '[Journal]\nStorage=volatile\n' },
    ...Object.fromEntries(unneeded.map((name) => [`/etc/systemd/system/${name}`, { link: '/dev/null' }])),
  };
}

function fstab(recipe: GuestRecipe): string {
  const inFstab = filesystemsOf(recipe).filter(({ unit }) => !unit);
  const lines = inFstab.map(({ mount, filesystem, spec, subvolume }) => {
    if (filesystem === 'swap') return `${spec}\tnone\tswap\tsw\t0\t0`;
    if (filesystem === 'btrfs') return `${spec}\t${mount}\tbtrfs\tdefaults,subvol=${subvolume}\t0\t0`;
    const isExtRoot = mount === '/' && filesystem === 'ext4';
    const options = isExtRoot ? 'errors=remount-ro' : mount === '/boot/efi' ? 'umask=0077' : 'defaults';
    return `${spec}\t${mount}\t${filesystem}\t${options}\t0\t${mount === '/' ? 1 : 2}`;
  });
  return `# <file system>\t<mount point>\t<type>\t<options>\t<dump>\t<pass>\n${lines.join('\n')}\n`;
}

function defaultGrub(recipe: GuestRecipe): string {
  return `GRUB_DEFAULT=0
GRUB_TIMEOUT=1
GRUB_DISTRIBUTOR=\`lsb_release -i -s 2> /dev/null || echo Debian\`
GRUB_CMDLINE_LINUX_DEFAULT="quiet"
GRUB_CMDLINE_LINUX="${[`root=${rootName(recipe)}`, ...arrayArguments(recipe)].join(' ')}"
GRUB_DISABLE_LINUX_UUID=true
`;
}

function initramfsFiles(recipe: GuestRecipe): GuestFiles {
  // dracut gets its drivers on the command line, as a host-only run on VMware would find them.
  if (recipe.initramfs.tool === 'dracut') return {};
  return {
    '/etc/initramfs-tools/conf.d/modules': { content: 'MODULES=list\n' },
    '/etc/initramfs-tools/conf.d/resume': { content: 'RESUME=none\n' },
    '/etc/initramfs-tools/modules': { content: `${recipe.initramfs.modules.join('\n')}\n` },
  };
}

/**
 * `h2k-lab-report.service` prints one line to the first serial port: the state of the guest as the guest sees
 * it, see `LabReport`.
 */
function reportFiles({ network, cloudInit }: GuestRecipe): GuestFiles {
  const unit = '/etc/systemd/system/h2k-lab-report.service';
  const more = {
    ...(network.other === undefined ? {} : { mac: `cat /sys/class/net/${network.interface}/address` }),
    ...(cloudInit === undefined ? {} : { ssh_host_key: `cut -d ' ' -f 2 ${SSH_HOST_KEY}` }),
  };
  const keys = Object.keys(more).map((key) => `,"${key}":"%s"`);
  const values = Object.values(more).map((command) => ` "$(${command})"`);
  return {
    [unit]: {
      content: `[Unit]
Description=State of this guest on the serial port
Wants=network-online.target
After=network-online.target multi-user.target

[Service]
Type=oneshot
ExecStart=/usr/local/sbin/h2k-lab-report

[Install]
WantedBy=multi-user.target
`,
    },
    '/etc/systemd/system/multi-user.target.wants/h2k-lab-report.service': { link: unit },
    '/usr/local/sbin/h2k-lab-report': {
      mode: 0o755,
      content: `#!/bin/sh
list() { awk 'NF { printf "%s\\"%s\\"", n++ ? "," : "", $1 }'; }
addresses=$(ip -4 -o addr show scope global | awk '{ print $2 "=" $4 }' | list)
mounts=$(findmnt -rn --fstab -o TARGET -t noswap | while read -r m; do mountpoint -q "$m" && echo "$m"; done | list)
swaps=$(awk 'NR > 1 { print $1 }' /proc/swaps | list)
failed=$(systemctl --failed --plain --no-legend | list)
printf '\\n{"lab":1,"addresses":[%s],"mounts":[%s],"swaps":[%s],"failed":[%s],"kernel":"%s"${keys.join('')}}\\n' \\
  "$addresses" "$mounts" "$swaps" "$failed" "$(uname -r)"${values.join('')} > /dev/ttyS0
`,
    },
  };
}
