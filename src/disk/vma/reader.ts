import { corrupt, truncated } from '../base/bytes.js';
import { BLOCK, CLUSTER, clusterEntries, EXTENT_HEADER_BYTES, storedBytes } from './extent.js';
import {
  hasMd5,
  parseVmaHeader,
  VMA_MAGIC,
  type VmaDevice,
  type VmaHeader,
  vmaHeaderLength,
} from './header.js';

export interface VmaSink {
  /** Called once, before any block. */
  onHeader(header: VmaHeader): Promise<void>;
  /** Blocks of 4 KiB and runs of them, each with its place on the disk; what is left out is zeros. */
  onBlocks(device: VmaDevice, bytes: Buffer, at: number): Promise<void>;
}

const EXTENT_MD5 = 24;

interface Cluster {
  /** Null for the memory of a snapshot. */
  device: VmaDevice | null;
  number: number;
  mask: number;
}

/**
 * Reads a VMA from its first to its last byte, as it was made to be: the archive may come out of a program that
 * unpacks it. `take` gets the bytes in pieces of any size, `end` says that there are no more. Both reject with
 * `fetch.corrupt`, `fetch.truncated`, `fetch.unsupported`.
 */
export class VmaReader {
  readonly #sink: VmaSink;
  #pieces: Buffer[] = [];
  #length = 0;
  /** How many bytes the next part has, and what to do with it. */
  #needed = 64;
  #next: (part: Buffer) => Promise<void> | void = (part) => this.#start(part);
  #header: VmaHeader | null = null;
  #devices = new Map<number, VmaDevice>();
  #seen = new Map<number, Uint8Array>();

  constructor(sink: VmaSink) {
    this.#sink = sink;
  }

  async take(bytes: Buffer): Promise<void> {
    this.#pieces.push(bytes);
    this.#length += bytes.length;
    while (this.#length >= this.#needed) {
      const all = this.#pieces.length === 1 ? this.#pieces[0]! : Buffer.concat(this.#pieces);
      const needed = this.#needed;
      this.#pieces = [all.subarray(needed)];
      this.#length -= needed;
      await this.#next(all.subarray(0, needed));
    }
  }

  /** Every cluster of every disk must have come, for the archive has no end of its own. */
  end(): void {
    if (this.#header === null || this.#length > 0 || this.#needed !== EXTENT_HEADER_BYTES)
      throw truncated('the VMA ends within a part of it');
    for (const device of this.#header.devices) {
      const missing = this.#seen.get(device.id)!.indexOf(0);
      if (missing !== -1) throw truncated(`the VMA ends before cluster ${missing} of ${device.name}`);
    }
  }

  #start(part: Buffer): void {
    this.#await(vmaHeaderLength(part) - part.length, (rest) => this.#takeHeader(Buffer.concat([part, rest])));
  }

  async #takeHeader(bytes: Buffer): Promise<void> {
    const header = parseVmaHeader(bytes);
    for (const device of header.devices) {
      this.#devices.set(device.id, device);
      this.#seen.set(device.id, new Uint8Array(Math.ceil(device.size / CLUSTER)));
    }
    await this.#sink.onHeader(header);
    this.#header = header;
    this.#awaitExtent();
  }

  #awaitExtent(): void {
    this.#await(EXTENT_HEADER_BYTES, (part) => {
      const entries = clusterEntries(part);
      if (part.toString('hex', 8, 24) !== this.#header!.uuid || !hasMd5(part, EXTENT_MD5))
        throw corrupt('the checksum of an extent of the VMA is wrong, or it is of another archive');
      const clusters = entries.map(({ id, number, mask }) => ({
        device: this.#deviceOf(id, number),
        number,
        mask,
      }));
      const bytes = storedBytes(entries);
      if (bytes === 0) this.#awaitExtent();
      else this.#await(bytes, (content) => this.#takeExtent(clusters, content));
    });
  }

  #await(bytes: number, next: (part: Buffer) => Promise<void> | void): void {
    this.#needed = bytes;
    this.#next = next;
  }

  #deviceOf(id: number, cluster: number): VmaDevice | null {
    if (id === this.#header!.vmState) return null;
    const device = this.#devices.get(id);
    const seen = this.#seen.get(id);
    if (device === undefined || seen === undefined) throw corrupt(`the VMA has a cluster of no disk (${id})`);
    if (cluster >= seen.length) throw corrupt(`the VMA has a cluster behind the end of ${device.name}`);
    if (seen[cluster] !== 0) throw corrupt(`the VMA has cluster ${cluster} of ${device.name} twice`);
    seen[cluster] = 1;
    return device;
  }

  async #takeExtent(clusters: readonly Cluster[], content: Buffer): Promise<void> {
    let from = 0;
    for (const { device, number, mask } of clusters) {
      for (let first = 0; first < 16; ) {
        const isStored = ((mask >> first) & 1) === 1;
        let end = first + 1;
        while (end < 16 && ((mask >> end) & 1) === (isStored ? 1 : 0)) end += 1;
        const bytes = isStored ? content.subarray(from, from + (end - first) * BLOCK) : null;
        from += bytes?.length ?? 0;
        const at = number * CLUSTER + first * BLOCK;
        // The last block may be longer than what is left of the disk.
        if (bytes !== null && device !== null && at < device.size)
          await this.#sink.onBlocks(device, bytes.subarray(0, device.size - at), at);
        first = end;
      }
    }
    this.#awaitExtent();
  }
}

/** True if a file with these first bytes is a VMA. */
export function looksLikeVma(head: Buffer): boolean {
  return head.toString('latin1', 0, VMA_MAGIC.length) === VMA_MAGIC;
}
