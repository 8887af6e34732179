export interface VolumeRecord {
  /** Volume groups with the same name have the same device names, too. */
  device: string;
  group: string;
  groupUuid: string;
  uuid: string;
  /** The device of the volume that this one is a snapshot of; includes thin snapshots. */
  origin: string | null;
}

/**
 * The block devices of a VM, by their names in the place that they are accessed from (`/dev/sda1`,
 * `/dev/vg/root`). Disks come in the VM's order. Every call rejects with `guest.call-failed` if the device
 * refuses it.
 */
export interface BlockDevices {
  disks(): Promise<string[]>;
  /** On disks and on md arrays. */
  partitions(): Promise<string[]>;
  size(device: string): Promise<number>;
  /**
   * Returns what blkid(8)'s low-level probe finds: TYPE, UUID, LABEL and the partition's own entry
   * (`PART_ENTRY_*`), in one call. Empty if it recognises nothing.
   */
  probe(device: string): Promise<Record<string, string>>;
  /**
   * Returns the names that a running guest has for the device: its own and udev's links. Empty for a guest that
   * is off, whose names are worked out from its disks' places.
   */
  links(device: string): Promise<string[]>;
  /** Assembled md arrays. */
  arrays(): Promise<string[]>;
  /**
   * Returns the array's identity from its members' superblocks, in the form of mdadm.conf(5); empty strings
   * if it has none.
   */
  array(device: string): Promise<{ uuid: string; name: string }>;
  /** Active logical volumes. */
  volumes(): Promise<string[]>;
  /** LVM's own records of all logical volumes, active or not. */
  volumeRecords(): Promise<VolumeRecord[]>;
  /** Activates volumes that have appeared since, such as groups in a container that was opened. */
  activateVolumes(): Promise<void>;
  /**
   * Opens a LUKS container as `/dev/mapper/<name>` with the first of `keys` that works; one that is open
   * already stays open. The error never contains any part of a key.
   */
  openLuks(device: string, name: string, keys: readonly Buffer[]): Promise<void>;
  /**
   * Empties the journal of an NTFS volume and marks the volume, so that Windows checks it at its next start.
   * It must not be mounted.
   */
  dropNtfsJournal(device: string): Promise<void>;
}
