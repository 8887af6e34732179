import { diskIndex } from '../text/disk-letters.js';

const DISK = /^\/dev\/sd([a-z]+)(\d*)$/;

/**
 * Returns the name of `device` for a shell script in the appliance, as an unquoted word. The kernel probes
 * disks in parallel, so the second one, or the appliance's own, may become its `sda`; libguestfs translates
 * names in its calls (guestfs(3), "Block device naming") but not in scripts. The SCSI target is the disk's
 * number. Names of volumes are unchanged. Pure.
 */
export function inScript(device: string): string {
  const [, letters, partition = ''] = DISK.exec(device) ?? [];
  if (letters === undefined) return `'${device}'`;
  const target = diskIndex(letters);
  return `/dev/$(basename /sys/class/scsi_device/*:0:${target}:0/device/block/sd*)${partition}`;
}
