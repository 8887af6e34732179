import { expect, it } from 'vitest';
import { unfixedDevices } from '../../../../src/families/linux/unfixed.js';
import { guestOf, kernelOf, modulesOf } from '../guests.js';

/** A guest with a kernel for each of these lists of drivers in its initramfs. */
function devicesOf(...initramfs: string[][]) {
  const versions = initramfs.map((_, index) => `6.${index}.0`);
  const files = Object.assign({}, ...versions.map((version) => modulesOf(version)));
  const kernels = versions.map((version, index) => kernelOf(version, initramfs[index] ?? []));
  return unfixedDevices(guestOf({ files, identity: { kernels } }));
}

const VIRTIO = ['virtio_pci', 'virtio_blk'];
const AHCI = ['ahci', 'sd_mod'];

it.each([
  ['virtio', 'virtio', [VIRTIO]],
  ['virtio', 'virtio', [VIRTIO, [...AHCI, ...VIRTIO]]],
  ['sata', 'e1000e', [AHCI, [...AHCI, ...VIRTIO]]],
  ['ide', 'e1000', [['ata_piix', 'sd_mod']]],
  // Nothing tells: what most systems have.
  ['sata', 'e1000', [['vmw_pvscsi']]],
  ['sata', 'e1000', []],
])('are %s disks and %s cards by what every initramfs has', (disk_bus, nic_model, initramfs) => {
  const { devices, warnings } = devicesOf(...initramfs);
  expect(devices).toEqual({ disk_bus, nic_model });
  expect(warnings.map(({ code }) => code)).toEqual(disk_bus === 'virtio' ? [] : ['devices.as-is']);
});
