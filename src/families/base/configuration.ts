import { readSnapshot } from '../../guest/snapshot-file.js';
import type { Configuration } from '../../operations/operation.js';

/** Reads INSPECT's snapshot of a guest whose configuration is files alone. */
export async function readConfiguration(file: string): Promise<Configuration> {
  return { tree: await readSnapshot(file), registry: [] };
}
