import { diskIndex } from '../text/disk-letters.js';

const DISK = /^\/dev\/sd([a-z]+)(\d*)$/;

/**
 * What a shell script in the appliance calls `device`, as an unquoted word of the shell. The kernel probes
 * disks side by side, so that the second, or the appliance's own, may become its `sda`; libguestfs translates
 * names in its calls (guestfs(3), "Block device naming"), not in scripts. The SCSI target is the disk's
 * number. Names of volumes are their own. Pure.
 */
export function inScript(device: string): string {
  const [, letters, partition = ''] = DISK.exec(device) ?? [];
  if (letters === undefined) return `'${device}'`;
  const target = diskIndex(letters);
  return `/dev/$(basename /sys/class/scsi_device/*:0:${target}:0/device/block/sd*)${partition}`;
}
