import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { Hyper2kvmError } from '../errors/error.js';
import { WEEK_SECONDS } from '../host/durations.js';
import { run } from './run.js';
import { sandboxPrefix } from './sandbox.js';

export interface UnpackedStream {
  compression: 'gzip' | 'xz' | 'zstd' | 'lzop';
  source: string;
  /** The part of `source` that is the compressed file, in bytes; by default all of it. */
  region?: { offset: number; size: number };
  /** Header and trailer that turn these bytes into a complete stream. */
  frame?: StreamFrame;
}

export interface UnpackRequest extends UnpackedStream {
  /** Must not exist. Zeros become holes. */
  target: string;
  /** Called before a piece is written; if it throws, unpacking stops with that error. */
  admit(bytes: number, isZero: boolean): void | Promise<void>;
}

export interface StreamFrame {
  before: Buffer;
  after: Buffer;
}

/**
 * Turns the deflate data of a ZIP archive into a gzip stream (RFC 1952, 2.3), so that gzip checks size and
 * CRC-32.
 */
export function gzipFrame({ crc32, size }: { crc32: number; size: number }): StreamFrame {
  const after = Buffer.alloc(8);
  after.writeUInt32LE(crc32, 0);
  after.writeUInt32LE(size % 2 ** 32, 4);
  return { before: Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]), after };
}

export interface UnpackOptions {
  signal: AbortSignal;
  /** Reports how many bytes of the compressed file the program has been given so far. */
  onRead?(bytes: number): void;
}

const PROGRAMS = {
  gzip: ['gzip', '-dc'],
  xz: ['xz', '-dc', '--memlimit-decompress=512MiB', '--threads=1'],
  zstd: ['zstd', '-dcq', '--memory=512MB'],
  lzop: ['lzop', '-dcq'],
} as const;
const MEMORY_LIMIT = 1024 ** 3;
const ZEROS = Buffer.alloc(1024 * 1024);

/** Unpacks one stream into a sparse file, piece by piece. Rejects like `unpackStream`, and with what `admit` throws. */
export async function unpackFile(request: UnpackRequest, options: UnpackOptions): Promise<void> {
  const output = await open(request.target, 'wx', 0o600);
  try {
    const writer = sparseWriter(output, request.admit);
    await unpackStream(request, writer.write, options);
    await output.truncate(writer.size());
    await output.sync();
  } finally {
    await output.close();
  }
}

/**
 * Unpacks one stream and gives its pieces to `take`, one after the other. The program has access to neither the
 * file's name nor the filesystem: bytes in, bytes out. Errors: `fetch.truncated`, `fetch.corrupt`, what `take`
 * throws, `tool.*`.
 */
export async function unpackStream(
  { source, region, frame, compression }: UnpackedStream,
  take: (chunk: Buffer) => Promise<void>,
  options: UnpackOptions,
): Promise<void> {
  const [program, ...args] = PROGRAMS[compression];
  const wrapper = await sandboxPrefix({ writable: [] });
  const input = await open(source, constants.O_RDONLY | constants.O_NOFOLLOW);
  const range = region === undefined ? {} : { start: region.offset, end: region.offset + region.size - 1 };
  const stream = input.createReadStream({ autoClose: false, highWaterMark: 256 * 1024, ...range });
  let given = 0;
  stream.on('data', (chunk) => {
    given += chunk.length;
    options.onRead?.(given);
  });
  try {
    const { code, stderr } = await run(program, args, {
      signal: options.signal,
      timeoutSeconds: WEEK_SECONDS,
      input: frame === undefined ? stream : Readable.from(framed(stream, frame)),
      onStdout: take,
      limits: { memoryBytes: MEMORY_LIMIT },
      wrapper,
      okCodes: [0, 1, 2],
    });
    if (code !== 0) throw damaged(stderr);
  } finally {
    stream.destroy();
    await input.close();
  }
}

async function* framed(stream: Readable, { before, after }: StreamFrame): AsyncGenerator<Buffer> {
  yield before;
  for await (const chunk of stream) yield chunk;
  yield after;
}

function sparseWriter(output: FileHandle, admit: UnpackRequest['admit']) {
  let size = 0;
  return {
    size: () => size,
    async write(chunk: Buffer): Promise<void> {
      const isZero = chunk.equals(ZEROS.subarray(0, chunk.length));
      const position = size;
      size += chunk.length;
      await admit(chunk.length, isZero);
      for (let done = 0; !isZero && done < chunk.length; ) {
        const { bytesWritten } = await output.write(chunk, done, chunk.length - done, position + done);
        done += bytesWritten;
      }
    },
  };
}

function damaged(stderr: string): Hyper2kvmError {
  const isCut = /unexpected end|premature end/i.test(stderr);
  const what = stderr.trim().split('\n').at(-1)?.slice(0, 200) ?? '';
  return new Hyper2kvmError(
    isCut ? 'fetch.truncated' : 'fetch.corrupt',
    isCut ? 'the compressed file is truncated' : `the compressed file cannot be unpacked: ${what}`,
  );
}
