import { corrupt, incomplete, readExact, truncated } from '../base/bytes.js';
import type { ByteSource, Completeness } from '../base/format.js';
import { CLUSTER, clusterEntries, EXTENT_HEADER_BYTES, storedBytes } from './extent.js';
import { parseVmaHeader, vmaHeaderLength } from './header.js';

/**
 * Tells by the headers of its extents whether all of a VMA has arrived: each cluster of each disk is in it, also
 * one of zeros. What else is wrong with it is found when it is read.
 */
export async function vmaCompleteness(source: ByteSource): Promise<Completeness> {
  try {
    const length = vmaHeaderLength(await readExact(source, 0, 64, 'the VMA header'));
    const { devices, vmState } = parseVmaHeader(await readExact(source, 0, length, 'the VMA header'));
    let missing = devices.reduce((sum, { size }) => sum + Math.ceil(size / CLUSTER), 0);
    for (let at = length; at < source.size; ) {
      const header = await readExact(source, at, EXTENT_HEADER_BYTES, 'an extent of the VMA');
      const entries = clusterEntries(header);
      missing -= entries.filter(({ id }) => id !== vmState).length;
      at += EXTENT_HEADER_BYTES + storedBytes(entries);
      if (at > source.size) throw truncated('an extent of the VMA ends after the file');
    }
    if (missing > 0) throw truncated(`${missing} clusters of the VMA have not arrived`);
    if (missing < 0) throw corrupt('the VMA has more clusters than its disks');
    return { complete: true, allocated: null };
  } catch (error) {
    return incomplete(error);
  }
}
