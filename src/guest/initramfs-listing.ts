import { posix } from 'node:path';
import { createInflateRaw } from 'node:zlib';
import { errorRecord } from '../errors/error.js';
import type { Kernel } from '../model/identity.js';
import { run } from '../tools/run.js';
import { type NewcName, NewcScanner, readNewc, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from './cpio.js';
import {
  type Compression,
  compressionAt,
  endBeforeAppendix,
  gzipDataOffset,
  lz4LegacyEnd,
  lzopEnd,
  xzStreamEnd,
  zstdFrameEnd,
} from './initramfs-container.js';
import { isLoaderFile, type ModuleLoader, moduleLoader } from './initramfs-loader.js';
import { configurationText, isConfiguration } from './initramfs-texts.js';

/**
 * One part of an initramfs file, compressed or plain. `size` is in bytes of the file; `entries` counts files,
 * directories and links.
 */
interface InitramfsSegment {
  compression: Compression;
  offset: number;
  size: number;
  entries: number;
}

/** The directory that really contains `modules/<version>` inside an initramfs. */
export type LibDirectory = 'lib' | 'usr/lib';

export interface InitramfsListing {
  size: number;
  segments: InitramfsSegment[];
  /**
   * Paths of regular files without a leading slash, sorted. An entry of a later archive replaces an earlier
   * one, as in the kernel.
   */
  files: string[];
  directories: string[];
  /** Symbolic links: path to target, as written. */
  links: Record<string, string>;
  /**
   * The configuration files inside that may name devices, by path (`isConfiguration`, `configurationText`).
   */
  texts: Record<string, string>;
  /** What loads the modules inside, or null without an init. Absent in a list that an older version made. */
  loader?: ModuleLoader | null;
  /** Why listing stopped, or null if the whole file was read. The lists have everything before that point. */
  unreadable: string | null;
}

export interface ListLimits {
  /** Limit on the unpacked bytes of all segments together. */
  unpackedBytes: number;
  /** A real one has a few thousand. */
  entries: number;
  /** Archives in sequence: distributions make four at most. Each compressed one starts a program. */
  segments: number;
}
export const DEFAULT_LIMITS: ListLimits = { unpackedBytes: 1024 ** 3, entries: 100_000, segments: 64 };

/** Each tool with the arguments that make it write one stream's data to stdout. */
const UNPACKERS: Record<Exclude<Compression, 'none' | 'gzip'>, readonly [string, ...string[]]> = {
  zstd: ['zstd', '-dcq', '--memory=256MB'],
  xz: ['xz', '--format=xz', '-dcq', '--single-stream', '--memlimit-decompress=256MiB'],
  lzma: ['xz', '--format=lzma', '-dcq', '--single-stream', '--memlimit-decompress=256MiB'],
  lz4: ['lz4', '-dcq'],
  bzip2: ['bzip2', '-dcq'],
  lzo: ['lzop', '-dcq'],
};

/** True for a file whose text is kept while an archive is read. */
const isKeptText = (path: string, bytes: number): boolean =>
  isConfiguration(path, bytes) || isLoaderFile(path, bytes);

/** Further files, which no tool writes, are omitted. */
const MAX_TEXTS = 64;

/** Why a segment cannot be listed; becomes `unreadable`. */
class Unreadable extends Error {}

/**
 * Lists an initramfs segment by segment, as the kernel unpacks it (init/initramfs.c): archives in sequence
 * with zero bytes between them, each plain or compressed in its own way. Unreadable content is reported in
 * `unreadable`, never thrown; only an abort rejects.
 */
export async function listInitramfs(
  bytes: Buffer,
  signal: AbortSignal,
  limits: ListLimits = DEFAULT_LIMITS,
): Promise<InitramfsListing> {
  const names = new Map<string, { mode: number; target: string | null; text: string | null }>();
  const segments: InitramfsSegment[] = [];
  let unpacked = 0;
  let entries = 0;
  let unreadable: string | null = null;
  const onEntry = ({ path, mode, target, content }: NewcName) => {
    if (++entries > limits.entries) throw new Unreadable(`more than ${limits.entries} entries`);
    names.set(path, { mode, target, text: content === null ? null : configurationText(path, content) });
  };
  const onBytes = (count: number) => {
    unpacked += count;
    if (unpacked > limits.unpackedBytes)
      throw new Unreadable(`unpacks to more than ${limits.unpackedBytes} bytes`);
  };

  let offset = skipZeros(bytes, 0);
  while (offset < bytes.length && unreadable === null) {
    signal.throwIfAborted();
    if (segments.length === limits.segments) {
      unreadable = `more than ${limits.segments} archives`;
      break;
    }
    const compression = compressionAt(bytes, offset);
    const before = entries;
    try {
      if (compression === null) throw new Unreadable(`no known container at byte ${offset}`);
      const end = await listSegment(bytes, offset, compression, { onEntry, onBytes }, signal);
      segments.push({ compression, offset, size: end - offset, entries: entries - before });
      offset = skipZeros(bytes, end);
    } catch (error) {
      signal.throwIfAborted();
      unreadable = `${compression ?? 'unknown'}: ${errorRecord(error).message}`;
    }
  }
  if (segments.length === 0 && unreadable === null) unreadable = 'the file is empty';
  const paths = [...names.keys()].sort();
  const typed = (type: number) => paths.filter((path) => ((names.get(path)?.mode ?? 0) & S_IFMT) === type);
  return {
    size: bytes.length,
    segments,
    files: paths.filter((path) => ![S_IFDIR, S_IFLNK].includes((names.get(path)?.mode ?? 0) & S_IFMT)),
    directories: typed(S_IFDIR),
    links: Object.fromEntries(typed(S_IFLNK).map((path) => [path, names.get(path)?.target ?? ''])),
    texts: Object.fromEntries(
      paths
        .flatMap((path) => {
          const text = names.get(path)?.text ?? null;
          return text === null || !isConfiguration(path, text.length) ? [] : [[path, text] as const];
        })
        .slice(0, MAX_TEXTS),
    ),
    loader: moduleLoader({ paths, text: (path) => names.get(path)?.text ?? null }),
    unreadable,
  };
}

/** Returns a module's name as the kernel shows it: `kernel/drivers/block/virtio-blk.ko.xz` → `virtio_blk`. */
export function moduleName(path: string): string {
  return posix
    .basename(path)
    .replace(/\.ko(?:\.(?:xz|gz|zst|bz2))?$/, '')
    .replaceAll('-', '_');
}

/**
 * Returns `initramfs` of the identity's kernel, with the modules of `kernelVersion`: it can load no others, and
 * of an init with its own list only those on the list.
 * `path` is the guest's.
 */
export function describeInitramfs(request: {
  path: string;
  listing: InitramfsListing;
  kernelVersion: string;
}): NonNullable<Kernel['initramfs']> {
  const { listing } = request;
  const lib = libDirectory(listing);
  const prefix = `modules/${request.kernelVersion}/`;
  const loader = listing.loader ?? null;
  const files = listing.files
    .filter((file) => /\.ko(?:\.(?:xz|gz|zst|bz2))?$/.test(file))
    .filter((file) => file.replace(/^(?:usr\/)?lib\//, '').startsWith(prefix));
  const modules = (loader?.loads === 'listed' ? loader.listed : files).map(moduleName);
  return {
    path: request.path,
    size: listing.size,
    segments: listing.segments,
    modules: [...new Set(modules)].sort(),
    texts: listing.texts,
    lib,
    unreadable: listing.unreadable,
    ...(loader === null ? {} : { loads: loader.loads }),
  };
}

function libDirectory(listing: InitramfsListing): LibDirectory {
  if (/^\/?usr\/lib\/?$/.test(listing.links.lib ?? '')) return 'usr/lib';
  const has = (prefix: string) => listing.files.some((file) => file.startsWith(prefix));
  return !has('lib/modules/') && has('usr/lib/modules/') ? 'usr/lib' : 'lib';
}

function skipZeros(bytes: Buffer, start: number): number {
  let offset = start;
  while (offset < bytes.length && bytes[offset] === 0) offset += 1;
  return offset;
}

interface Sink {
  onEntry(entry: NewcName): void;
  onBytes(count: number): void;
}

/** Lists one segment into `sink` and returns the offset after it. */
async function listSegment(
  bytes: Buffer,
  start: number,
  compression: Compression,
  sink: Sink,
  signal: AbortSignal,
): Promise<number> {
  if (compression === 'none') return listPlain(bytes, start, sink);
  const scanner = new NewcScanner(sink.onEntry, isKeptText);
  const push = (chunk: Buffer) => {
    sink.onBytes(chunk.length);
    scanner.push(chunk);
  };
  if (compression === 'gzip') {
    const end = await inflateMember(bytes, start, push, signal);
    scanner.end();
    return end;
  }
  const end = segmentEnd(bytes, start, compression);
  if (end === null) throw new Unreadable('the compressed data are truncated');
  await unpackByTool(bytes.subarray(start, end), UNPACKERS[compression], push, signal);
  scanner.end();
  return end;
}

function listPlain(bytes: Buffer, start: number, sink: Sink): number {
  const walk = readNewc(bytes, start);
  for (;;) {
    const next = walk.next();
    if (next.done) return next.value;
    const { path, mode, data } = next.value;
    const isLink = (mode & S_IFMT) === S_IFLNK;
    const isKept = (mode & S_IFMT) === S_IFREG && isKeptText(path, data.length);
    const target = isLink ? data.toString('utf8', 0, 4096) : null;
    sink.onEntry({ path, mode, size: data.length, target, content: isKept ? data : null });
  }
}

function segmentEnd(bytes: Buffer, start: number, compression: Compression): number | null {
  if (compression === 'zstd') return zstdFrameEnd(bytes, start);
  if (compression === 'lz4') return lz4LegacyEnd(bytes, start);
  if (compression === 'xz') return xzStreamEnd(bytes, start);
  if (compression === 'lzo') return lzopEnd(bytes, start);
  return endBeforeAppendix(bytes, start);
}

/**
 * Inflates one gzip member; the inflater reports how much input it consumed, which is where the next segment
 * starts.
 */
async function inflateMember(
  bytes: Buffer,
  start: number,
  push: (chunk: Buffer) => void,
  signal: AbortSignal,
): Promise<number> {
  const dataStart = gzipDataOffset(bytes, start);
  if (dataStart === null) throw new Unreadable('the gzip header is truncated');
  const inflater = createInflateRaw({ chunkSize: 256 * 1024 });
  inflater.end(bytes.subarray(dataStart));
  for await (const chunk of inflater) {
    signal.throwIfAborted();
    push(chunk as Buffer);
  }
  // Skips the checksum and the length, 8 bytes, which the kernel checks.
  return Math.min(dataStart + inflater.bytesWritten + 8, bytes.length);
}

/** Streams a tool's output through `push`; an error from `push` stops the tool and is thrown. */
async function unpackByTool(
  input: Buffer,
  [tool, ...args]: readonly [string, ...string[]],
  push: (chunk: Buffer) => void,
  signal: AbortSignal,
): Promise<void> {
  const stop = new AbortController();
  let refused: unknown;
  const onStdout = (chunk: Buffer) => {
    if (refused !== undefined) return;
    try {
      push(chunk);
    } catch (error) {
      refused = error;
      stop.abort();
    }
  };
  try {
    await run(tool, args, {
      input,
      onStdout,
      signal: AbortSignal.any([signal, stop.signal]),
      timeoutSeconds: 120,
      limits: { memoryBytes: 2 * 1024 ** 3 },
    });
  } catch (error) {
    throw refused ?? error;
  }
  if (refused !== undefined) throw refused;
}
