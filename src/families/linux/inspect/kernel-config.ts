import { posix } from 'node:path';

/** Options of Linux' Kconfig by the name that the same driver has as a module. */
const OPTIONS: Record<string, string> = {
  VIRTIO: 'virtio',
  VIRTIO_PCI: 'virtio_pci',
  VIRTIO_PCI_LIB: 'virtio_pci_modern_dev',
  VIRTIO_BLK: 'virtio_blk',
  SCSI_VIRTIO: 'virtio_scsi',
  VIRTIO_NET: 'virtio_net',
  SATA_AHCI: 'ahci',
  ATA_PIIX: 'ata_piix',
  BLK_DEV_SD: 'sd_mod',
  BLK_DEV_NVME: 'nvme',
  E1000: 'e1000',
  E1000E: 'e1000e',
};

/** Where the configuration of a kernel may lie that is installed as `image`. */
export function configNames(image: string, version: string): string[] {
  const [, name = ''] = /^[A-Za-z]+-?(.*)$/.exec(posix.basename(image)) ?? [];
  const directory = posix.dirname(image);
  const own = name === '' ? `${directory}/config` : `${directory}/config-${name}`;
  return [...new Set([own, `/boot/config-${version}`])];
}

/** Returns the drivers that a kernel's configuration builds in (`CONFIG_…=y`), sorted. Pure. */
export function driversOfConfig(config: string): string[] {
  const found = config.split('\n').flatMap((line) => {
    const option = /^CONFIG_(\w+)=y\s*$/.exec(line)?.[1];
    return option === undefined ? [] : (OPTIONS[option] ?? []);
  });
  return [...new Set(found)].sort();
}
