export interface VolumeRecord {
  /** Volume groups of one name share the devices' names too. */
  device: string;
  group: string;
  groupUuid: string;
  uuid: string;
  /** The device of the volume that this one is a snapshot of; thin snapshots are among them. */
  origin: string | null;
}

/**
 * The block devices of a VM, by the names that the place they are read in gives them (`/dev/sda1`,
 * `/dev/vg/root`). Disks come in the VM's order. Every call rejects with `guest.call-failed` where the device
 * refuses it.
 */
export interface BlockDevices {
  disks(): Promise<string[]>;
  /** Of disks and of md arrays. */
  partitions(): Promise<string[]>;
  size(device: string): Promise<number>;
  /**
   * What blkid(8)'s low-level probe finds: TYPE, UUID, LABEL and the partition's own entry (`PART_ENTRY_*`),
   * all in one. Empty where it recognises nothing.
   */
  probe(device: string): Promise<Record<string, string>>;
  /** Assembled md arrays. */
  arrays(): Promise<string[]>;
  /**
   * The array's identity in its members' superblocks, as mdadm.conf(5) writes them; empty strings where it
   * has none.
   */
  array(device: string): Promise<{ uuid: string; name: string }>;
  /** Active logical volumes. */
  volumes(): Promise<string[]>;
  /** LVM's own records of all logical volumes, active or not. */
  volumeRecords(): Promise<VolumeRecord[]>;
  /** Activates what has appeared since: groups in a container that was opened. */
  activateVolumes(): Promise<void>;
  /**
   * Opens a LUKS container as `/dev/mapper/<name>` with the first of `keys` that fits; one that is open stays
   * as it is. No part of a key is in the error.
   */
  openLuks(device: string, name: string, keys: readonly Buffer[]): Promise<void>;
}
