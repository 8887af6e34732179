import type { Identity } from '../../../model/identity.js';

/** Partition types of LDM: the MBR's, and GPT's for its metadata and its data. */
const LDM_TYPES = new Set([
  '0x42',
  '5808c8aa-7e8f-42e0-85d2-e1e90434cfb3',
  'af9b60a0-1431-4f62-bc68-3311714a69ad',
]);

/** True for the table of a dynamic disk. */
export function hasDynamicDisk({ partitions }: Identity['partitions'][number]): boolean {
  return partitions.some(({ type }) => LDM_TYPES.has(type));
}
