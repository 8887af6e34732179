import { readFile } from 'node:fs/promises';
import { answerThread } from '../host/thread.js';
import { type InitramfsListing, type ListLimits, listInitramfs } from './initramfs-listing.js';

export interface ListRequest {
  /** The file's path, or its content. */
  image: string | Uint8Array;
  limits: ListLimits;
}

await answerThread(async ({ image, limits }: ListRequest): Promise<InitramfsListing> => {
  const bytes = typeof image === 'string' ? await readFile(image) : Buffer.from(image.buffer);
  return listInitramfs(bytes, new AbortController().signal, limits);
});
