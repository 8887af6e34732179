import { stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { z } from 'zod';
import { Hyper2kvmError } from '../errors/error.js';
import { WEEK_SECONDS } from '../host/durations.js';
import { type RunOptions, type RunResult, run } from './run.js';
import { sandboxPrefix } from './sandbox.js';

/**
 * Options of qemu-img's subcommands. Images are given with their format, or by a `json:` specification in
 * which every node has its own, so nothing is probed. File names are passed as `json:` or with a leading
 * path, never bare: a bare `nbd:x` would be a protocol, `-x` an option.
 */
export interface ToolOptions {
  signal?: AbortSignal;
  timeoutSeconds?: number;
  cwd?: string;
  /**
   * Absolute paths that qemu-img may read beside the directories of the given images: what those are based
   * on.
   */
  sees?: readonly string[];
}

/**
 * Limit on the address space of qemu-img: its own code and buffers need less than 1 GiB, the rest is for the
 * tables of large images.
 */
const MEMORY_LIMIT = 4 * 1024 ** 3;

/**
 * `reads` are the files that it opens, `writes` is the one that it creates or changes; absolute or in `cwd`.
 */
async function qemuImg(
  args: readonly string[],
  { sees = [], ...options }: ToolOptions,
  { reads = [], writes, ...extra }: RunOptions & { reads?: readonly string[]; writes?: string },
): Promise<RunResult> {
  const directoryOf = (file: string) => dirname(resolve(options.cwd ?? '.', file));
  const wrapper = await sandboxPrefix({
    readable: [...new Set([...reads.map(directoryOf), ...sees])],
    writable: writes === undefined ? [] : [directoryOf(writes)],
  });
  return run('qemu-img', args, { limits: { memoryBytes: MEMORY_LIMIT }, wrapper, ...options, ...extra });
}

const infoSchema = z.object({
  format: z.string(),
  'virtual-size': z.int(),
  'backing-filename': z.string().optional(),
  'backing-filename-format': z.string().optional(),
});
export interface ImageInfo {
  format: string;
  /** Bytes. */
  virtualSize: number;
  backing: { file: string; format: string | null } | null;
}

/**
 * Returns the header of one image. qemu-img also opens its backing files, so use this only for images whose
 * chain is verified or created by us.
 */
export async function imageInfo(file: string, format: string, options: ToolOptions = {}): Promise<ImageInfo> {
  const { stdout } = await qemuImg(['info', '--force-share', '--output=json', '-f', format, file], options, {
    reads: [file],
  });
  const info = infoSchema.parse(JSON.parse(stdout.toString('utf8')));
  const backing = info['backing-filename'];
  return {
    format: info.format,
    virtualSize: info['virtual-size'],
    backing:
      backing === undefined ? null : { file: backing, format: info['backing-filename-format'] ?? null },
  };
}

export interface CreateRequest {
  file: string;
  format: string;
  /** Bytes; may be omitted with a backing image, whose size is then used. */
  size?: number;
  backing?: { file: string; format: string };
  /** `-o` settings of the format. */
  settings?: Record<string, string>;
}

/** Creates an empty image. A backing image is opened and must be valid. */
export async function createImage(request: CreateRequest, options: ToolOptions = {}): Promise<void> {
  const { file, format, size, backing, settings } = request;
  await qemuImg(
    [
      'create',
      '-q',
      '-f',
      format,
      ...(backing === undefined ? [] : ['-F', backing.format, '-b', backing.file]),
      ...settingArguments(settings),
      file,
      ...(size === undefined ? [] : [String(size)]),
    ],
    options,
    {
      writes: file,
      // A relative name is relative to the new image.
      reads:
        backing === undefined || backing.file.startsWith('json:')
          ? []
          : [resolve(dirname(file), backing.file)],
    },
  );
}

export interface ConvertRequest {
  source: string;
  sourceFormat: string;
  target: string;
  targetFormat: string;
  settings?: Record<string, string>;
  compress?: boolean;
  /** Whether blocks of zeros are left out; default true. */
  sparse?: boolean;
}

/**
 * Copies an image's content. `onPercent` gets each update (0 to 100). An abort kills qemu-img; the caller
 * removes the incomplete target.
 */
export async function convertImage(
  request: ConvertRequest,
  options: ToolOptions & { onPercent?(percent: number): void; onStart?(pid: number): void } = {},
): Promise<RunResult> {
  const { onPercent, onStart, ...toolOptions } = options;
  const args = [
    'convert',
    '-p',
    '-f',
    request.sourceFormat,
    '-O',
    request.targetFormat,
    ...(request.compress ? ['-c'] : []),
    ...(request.sparse === false ? ['-S', '0'] : []),
    ...settingArguments(request.settings),
    request.source,
    request.target,
  ];
  const parse = percentParser((percent) => onPercent?.(percent));
  return qemuImg(args, toolOptions, {
    onStdout: parse,
    ...(onStart === undefined ? {} : { onStart }),
    reads: [request.source],
    writes: request.target,
  });
}

/** Parses `(12.34/100%)` updates, which end in `\r` and may be split anywhere between chunks. */
export function percentParser(onPercent: (percent: number) => void): (chunk: Buffer) => void {
  let rest = '';
  return (chunk) => {
    const text = rest + chunk.toString('latin1');
    const updates = [...text.matchAll(/\((\d+(?:\.\d+)?)\/100%\)/g)];
    const last = updates.at(-1);
    rest = text.slice(last === undefined ? -64 : last.index + last[0].length).slice(-64);
    if (last !== undefined) onPercent(Math.min(100, Number(last[1])));
  };
}

const checkSchema = z.object({
  'check-errors': z.int().optional(),
  corruptions: z.int().optional(),
});
export interface CheckResult {
  /** True if the image has neither errors nor corruptions; leaked clusters only waste space. */
  sound: boolean;
  corruptions: number;
}

const CHECK_SECONDS = 600;
/**
 * Used for the time limit: a check reads tables, in small pieces for a compressed or fragmented image, which
 * is slower than any disk reads data.
 */
const CHECK_BYTES_PER_SECOND = 1024 ** 2;

/**
 * Checks the consistency of one image's metadata; the time limit grows with the file. Formats without a check
 * (raw) reject with `tool.failed`.
 */
export async function checkImage(
  file: string,
  format: string,
  options: ToolOptions = {},
): Promise<CheckResult> {
  const { blocks } = await stat(resolve(options.cwd ?? '.', file));
  const timeoutSeconds = Math.min(CHECK_SECONDS + (blocks * 512) / CHECK_BYTES_PER_SECOND, WEEK_SECONDS);
  // 2: corruptions, 3: leaks only (qemu-img(1)).
  const { stdout } = await qemuImg(
    ['check', '--output=json', '-f', format, file],
    { timeoutSeconds, ...options },
    { okCodes: [0, 2, 3], reads: [file] },
  );
  const check = checkSchema.parse(JSON.parse(stdout.toString('utf8')));
  const errors = check['check-errors'] ?? 0;
  const corruptions = check.corruptions ?? 0;
  return {
    sound: errors === 0 && corruptions === 0,
    corruptions: errors + corruptions,
  };
}

/** A part of a disk, in bytes. */
export interface Area {
  start: number;
  length: number;
  /** It reads as zeros, by the formats' tables. */
  isZero: boolean;
}

/** More are not kept: a disk that is changed in so many places is faster written as a whole. */
const MAX_AREAS = 4_000_000;

/**
 * Returns the areas that one of the first `depth` images of a chain holds, in order, without those that only
 * images below hold; null if there are too many.
 */
export async function areasAbove(
  file: string,
  depth: number,
  options: ToolOptions = {},
): Promise<Area[] | null> {
  const areas: Area[] = [];
  const parse = mapParser((entry) => {
    if (entry.depth >= depth) return;
    const area = { start: entry.start, length: entry.length, isZero: entry.zero };
    const last = areas.at(-1);
    if (last !== undefined && last.start + last.length === area.start && last.isZero === area.isZero)
      last.length += area.length;
    else if (areas.length <= MAX_AREAS) areas.push(area);
  });
  await qemuImg(
    ['map', '--force-share', '--output=json', '-f', 'qcow2', file],
    // It asks for each grain: those of a seSparse disk have 4 KiB.
    { timeoutSeconds: WEEK_SECONDS, ...options },
    { reads: [file], onStdout: parse },
  );
  return areas.length > MAX_AREAS ? null : areas;
}

const mapEntrySchema = z.object({ start: z.int(), length: z.int(), depth: z.int(), zero: z.boolean() });

/** Parses the objects of `qemu-img map`, which has one on each line, however the text is cut. */
export function mapParser(onEntry: (entry: z.infer<typeof mapEntrySchema>) => void): (chunk: Buffer) => void {
  let rest = '';
  return (chunk) => {
    const lines = (rest + chunk.toString('latin1')).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const from = line.indexOf('{');
      if (from >= 0) onEntry(mapEntrySchema.parse(JSON.parse(line.slice(from, line.lastIndexOf('}') + 1))));
    }
  };
}

/** Writes the first `blocks` blocks of 4096 bytes of what is in an image to `target`, as plain bytes. */
export async function copyHead(
  { file, format, blocks, target }: { file: string; format: string; blocks: number; target: string },
  options: ToolOptions = {},
): Promise<void> {
  const args = ['dd', '-U', '-f', format, '-O', 'raw', 'bs=4096', `count=${blocks}`];
  await qemuImg([...args, `if=${file}`, `of=${target}`], options, { reads: [file], writes: target });
}

/** True if both have the same content; what is missing at the end of the shorter one counts as zeros. */
export async function compareImages(
  left: { file: string; format: string },
  right: { file: string; format: string },
  options: ToolOptions = {},
): Promise<boolean> {
  const args = [
    'compare',
    '-q',
    '--force-share',
    '-f',
    left.format,
    '-F',
    right.format,
    left.file,
    right.file,
  ];
  const { code } = await qemuImg(args, options, { okCodes: [0, 1], reads: [left.file, right.file] });
  return code === 0;
}

function settingArguments(settings: Record<string, string> = {}): string[] {
  return Object.entries(settings).flatMap(([key, value]) => {
    // A comma would start another setting.
    if (value.includes(','))
      throw new Hyper2kvmError('internal.unexpected', `a comma in qemu-img’s setting ${key}`);
    return ['-o', `${key}=${value}`];
  });
}
