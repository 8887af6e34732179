import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What hostile files try to reach. */
export interface Lure {
  /** Absolute path of a file outside of the spool, a raw disk whose every sector has `token`. */
  canary: string;
  token: string;
  /** A TCP port of 127.0.0.1 on which nobody must knock. */
  port: number;
  /** Small sound images, by extension (`stream.vmdk`: stream-optimized). */
  images: Readonly<Record<string, Buffer>>;
}

export interface HostileCase {
  /** What is tried. */
  title: string;
  /** The stable codes it may be refused with; `converted`: it is harmless. */
  expected: readonly string[];
  /** Writes the drop into an empty directory. */
  make(directory: string, lure: Lure): void;
  /** Its entries are dropped one by one, instead of the directory. */
  loose?: true;
  /** The job.toml is made by `make`, or there is none. Otherwise it says `kind = "data"`. */
  ownOptions?: true;
  /** For `converted`: what the first disk must hold. */
  content?(lure: Lure): Buffer;
}

/** A case of one file. */
export function one(
  title: string,
  expected: string | readonly string[],
  name: string,
  bytes: (lure: Lure) => Buffer | string,
  more: Partial<HostileCase> = {},
): HostileCase {
  return {
    title,
    expected: typeof expected === 'string' ? [expected] : expected,
    make: (directory, lure) => writeFileSync(join(directory, name), bytes(lure)),
    ...more,
  };
}

/** A case of several files. */
export function several(
  title: string,
  expected: string | readonly string[],
  make: HostileCase['make'],
  more: Partial<HostileCase> = {},
): HostileCase {
  return { title, expected: typeof expected === 'string' ? [expected] : expected, make, ...more };
}

export type Patch = readonly [offset: number, bytes: Buffer | string];

export function patched(bytes: Buffer, ...patches: readonly Patch[]): Buffer {
  const copy = Buffer.from(bytes);
  for (const [offset, value] of patches) Buffer.from(value as string, 'latin1').copy(copy, offset);
  return copy;
}

export function u32be(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
export function u32le(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
export function u64be(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(value);
  return bytes;
}
export function u64le(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  return bytes;
}

export function qemuImg(args: readonly string[], cwd?: string): void {
  execFileSync('qemu-img', args, { stdio: 'ignore', ...(cwd === undefined ? {} : { cwd }) });
}

/** A raw disk of `size` bytes that looks like one: MBR with one partition. */
export function rawDisk(size: number, fill = 0): Buffer {
  const bytes = Buffer.alloc(size, fill);
  bytes.fill(0, 0, 512);
  bytes[450] = 0x83;
  bytes.writeUInt32LE(1, 454);
  bytes.writeUInt32LE(size / 512 - 1, 458);
  bytes.writeUInt16LE(0xaa55, 510);
  return bytes;
}
