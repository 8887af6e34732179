import { corrupt, incomplete, truncated } from '../base/bytes.js';
import { type ByteSource, type Completeness, MAX_VIRTUAL_SIZE, SECTOR } from '../base/format.js';
import { MAX_DIRECTORY_ENTRIES, scanTables, type TableLayout } from './tables.js';

/**
 * ESXi's own sparse extent (`vmfsSparse`, snapshot deltas `…-delta.vmdk`): "Virtual Disk Format 5.0", section
 * "ESX Server Sparse Extents". Little-endian, all sizes in sectors, tables of 4096 entries.
 */
export const COWD_MAGIC = Buffer.from('COWD', 'latin1');
const ENTRIES_PER_TABLE = 4096;

export function parseCowd(sector: Buffer): TableLayout {
  if (sector.length < SECTOR || !sector.subarray(0, 4).equals(COWD_MAGIC)) throw corrupt('no COWD header');
  const capacity = sector.readUInt32LE(12) * SECTOR;
  const grainSize = sector.readUInt32LE(16) * SECTOR;
  const directory = sector.readUInt32LE(20) * SECTOR;
  const directoryEntries = sector.readUInt32LE(24);
  if (sector.readUInt32LE(4) !== 1) throw corrupt('the COWD header has an unknown version');
  if (capacity === 0 || capacity > MAX_VIRTUAL_SIZE)
    throw corrupt('the COWD header declares an impossible disk size');
  if (grainSize === 0 || grainSize > 2 ** 30)
    throw corrupt('the COWD header declares an impossible grain size');
  const needed = Math.ceil(capacity / (grainSize * ENTRIES_PER_TABLE));
  if (
    directoryEntries < needed ||
    directoryEntries > needed + 4096 ||
    directoryEntries > MAX_DIRECTORY_ENTRIES
  )
    throw corrupt('the COWD header’s grain directory does not fit its size');
  return {
    directory,
    directoryEntries,
    entriesPerTable: ENTRIES_PER_TABLE,
    grainSize,
    capacity,
    firstGrainSector: 1,
  };
}

export async function cowdCompleteness(source: ByteSource, layout: TableLayout): Promise<Completeness> {
  try {
    const scan = await scanTables(source, layout);
    if (scan.lastGrain !== null && scan.lastGrain.offset + scan.lastGrain.length > source.size)
      throw truncated('the last grain is beyond the end of the file');
    return { complete: true, allocated: scan.grains * layout.grainSize };
  } catch (error) {
    return incomplete(error);
  }
}
