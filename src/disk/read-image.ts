import { Hyper2kvmError } from '../errors/error.js';
import { printable } from '../text/escape-terminal.js';
import type { ByteSource, Completeness, DiskImage } from './base/format.js';
import type { ImageFile } from './chain.js';
import { isFlatName } from './chain.js';
import { detectFormat, formatByName, formatOfExtension } from './formats.js';
import { rawImage } from './raw.js';
import { hasFooter } from './vmdk/index.js';

export interface ReadOptions {
  /** Take a file named as raw for a disk whatever its bytes are (data disks). */
  anyRaw: boolean;
}

/** Reads one file's header. Never throws for its content: a refusal is in `error`. */
export async function readImageFile(
  name: string,
  source: ByteSource,
  options: ReadOptions,
): Promise<ImageFile> {
  const file = { name, size: source.size, image: null, error: null, footer: false };
  try {
    const image = await readImage(name, source, options);
    return { ...file, image, footer: image?.format === 'vmdk' && (await hasFooter(source)) };
  } catch (error) {
    if (!(error instanceof Hyper2kvmError)) throw error;
    const named = Hyper2kvmError.of(error.code, `${printable(name)}: ${error.message}`, {
      advice: error.advice,
      cause: error,
    });
    return { ...file, error: error.message.includes(printable(name)) ? error : named };
  }
}

async function readImage(name: string, source: ByteSource, options: ReadOptions): Promise<DiskImage | null> {
  const claimed = formatOfExtension(name);
  const format = await detectFormat(name, source).catch((error: unknown) => {
    // Any bytes may lie in a flat extent: its descriptor decides.
    if (isFlatName(name)) return null;
    throw error;
  });
  if (format !== null) return format.parse(source);
  if (claimed === null || isFlatName(name)) return null;
  if (claimed.name === 'raw') {
    if (options.anyRaw) return rawImage(source, 'data');
    if (await isBlank(source)) return rawImage(source, BLANK);
  }
  const what = await describeContent(source);
  throw new Hyper2kvmError('fetch.unknown-format', `${printable(name)} is no disk image: it ${what}`, {
    advice:
      claimed.name === 'raw'
        ? 'A raw disk needs a partition table or a known filesystem; for plain data put kind = "data" into its job.toml.'
        : `Check that the file was exported and copied as a whole; a .${claimed.extensions[0]} file starts with a header.`,
  });
}

export function isOva(name: string): boolean {
  return /\.ova$/i.test(name);
}

/** Variant of a raw disk whose first 64 KiB are zeros. */
export const BLANK = 'blank';

async function isBlank(source: ByteSource): Promise<boolean> {
  const head = await source.read(0, 65_536);
  return head.length > 0 && head.every((byte) => byte === 0);
}

const FOREIGN: readonly { offset: number; magic: string; what: string }[] = [
  { offset: 0, magic: '\x1f\x8b', what: 'is gzip-compressed' },
  { offset: 0, magic: '\xfd7zXZ\0', what: 'is xz-compressed' },
  { offset: 0, magic: '\x28\xb5\x2f\xfd', what: 'is zstd-compressed' },
  { offset: 0, magic: 'PK\x03\x04', what: 'is a ZIP archive' },
  { offset: 257, magic: 'ustar', what: 'is a tar archive (an OVA?)' },
  { offset: 0, magic: '%PDF', what: 'is a PDF document' },
  { offset: 0, magic: '\x7fELF', what: 'is a program' },
];

async function describeContent(source: ByteSource): Promise<string> {
  if (source.size === 0) return 'is empty';
  const head = await source.read(0, 4096);
  const foreign = FOREIGN.find(
    ({ offset, magic }) => head.toString('latin1', offset, offset + magic.length) === magic,
  );
  if (foreign !== undefined) return foreign.what;
  if (head.every((byte) => byte === 0)) return 'starts with zeros';
  const text = head.every((byte) => byte >= 0x20 || byte === 9 || byte === 10 || byte === 13);
  if (text)
    return /^\s*<(!doctype|html|\?xml)/i.test(head.toString('latin1'))
      ? 'is a web page or XML text'
      : 'is plain text';
  return 'has no header that is known';
}

/** Whether all bytes of a file with an image are there. Header errors are thrown. */
export async function completenessOf(file: ImageFile, source: ByteSource): Promise<Completeness> {
  if (file.image === null) return { complete: true, allocated: null };
  return formatByName(file.image.format).completeness(source, file.image);
}
