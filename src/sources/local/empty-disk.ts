import { mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import { SECTOR } from '../../disk/base/format.js';
import { syncPath } from '../../files/durable.js';
import type { Chain } from '../../model/storage.js';

const DIRECTORY = 'empty';

/**
 * Creates a disk that a description has without a file, as importers must (DSP0243, 9.1): zeros that occupy
 * no space.
 */
export async function emptyDisk(capacity: number, index: number, workDirectory: string): Promise<Chain> {
  const path = `${DIRECTORY}/disk${index}.raw`;
  const size = Math.ceil(capacity / SECTOR) * SECTOR;
  await mkdir(join(workDirectory, DIRECTORY), { recursive: true, mode: 0o700 });
  const file = await open(join(workDirectory, path), 'w', 0o600);
  try {
    await file.truncate(size);
    await file.sync();
  } finally {
    await file.close();
  }
  await syncPath(join(workDirectory, DIRECTORY));
  const layer = { format: 'raw', content_id: null, footer: false, extents: [], allocated: 0, used_bytes: 0 };
  const bytes = { type: 'file', place: 'work', path } as const;
  return { layers: [{ ...layer, name: `empty disk ${index}`, virtual_size: size, bytes }] };
}
