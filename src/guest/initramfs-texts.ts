/**
 * Copies of the guest's configuration, and files made from it, that decide where the root is looked for:
 * crypttab of cryptsetup's hook and of systemd, initramfs-tools' resume, dracut's host-only command line,
 * LVM's list of devices and its filter.
 */
const CONFIGURATION =
  /^(cryptroot\/crypttab|etc\/crypttab|conf\/conf\.d\/[\w.-]+|etc\/cmdline\.d\/[\w.-]+\.conf|etc\/lvm\/devices\/[\w.-]+)$/;
const MAX_CONFIGURATION_BYTES = 8192;
/** Most of lvm.conf's 110 KB are comments. */
const LVM_CONFIGURATION = /^(usr\/)?etc\/lvm\/lvm(local)?\.conf$/;
const MAX_LVM_BYTES = 256 * 1024;
/** Rules of kmod: initramfs tools copy all of them. */
const MODPROBE_RULES = /^((usr\/)?(etc|lib)\/modprobe\.d\/[^/]+|etc\/modprobe\.conf)$/;
const MAX_RULES_BYTES = 64 * 1024;
/** A rule for a driver of disks or network cards, also as a comment: one that was taken back is read back. */
const EXCLUDING_RULE =
  /^[# \t]*(blacklist|install|alias)[ \t]+(virtio|ahci|libahci|libata|ata_piix|sd[_-]mod|scsi[_-]mod|e1000|failover|net[_-]failover)/m;

/** True for a file inside an initramfs whose text decides which devices the boot finds. */
export function isConfiguration(path: string, bytes: number): boolean {
  if (MODPROBE_RULES.test(path)) return bytes <= MAX_RULES_BYTES;
  if (LVM_CONFIGURATION.test(path)) return bytes <= MAX_LVM_BYTES;
  return bytes <= MAX_CONFIGURATION_BYTES && CONFIGURATION.test(path);
}

/**
 * Returns what is kept of a file's text: of LVM's configuration only the settings, and only if one of them
 * filters devices; kmod's rules only if one of them excludes a driver that a VM may need.
 */
export function configurationText(path: string, content: Buffer): string | null {
  const text = content.toString('utf8');
  if (MODPROBE_RULES.test(path)) return EXCLUDING_RULE.test(text) ? text : null;
  if (!LVM_CONFIGURATION.test(path)) return text;
  const settings = text.split('\n').filter((line) => !/^\s*(#|$)/.test(line));
  return settings.some((line) => line.includes('filter')) ? `${settings.join('\n')}\n` : null;
}
