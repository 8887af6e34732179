import { gunzipSync, zstdDecompressSync } from 'node:zlib';

/**
 * Enough of a file for the version in an x86 kernel's header: the real-mode code, in which the text is, has 64
 * sectors at most (Linux: arch/x86/boot.rst, `setup_sects`).
 */
export const KERNEL_HEAD_BYTES = 36 * 1024;
/** A larger image is not unpacked: real ones stay under 50 MiB. */
const MAX_UNPACKED_BYTES = 128 * 1024 * 1024;
const BANNER = 'Linux version ';

/**
 * Returns the version of the x86 kernel that begins with `head` (`kernel_version` of arch/x86/boot.rst: a
 * 16-bit offset at 0x20e, plus 0x200, to a text whose first word it is), null for anything else.
 */
export function headerVersion(head: Buffer): string | null {
  if (head.length < 0x210 || head.toString('latin1', 0x202, 0x206) !== 'HdrS') return null;
  const offset = head.readUInt16LE(0x20e);
  if (offset === 0) return null;
  return firstWord(head, offset + 0x200);
}

/**
 * True for the first bytes of a kernel that says its version only in its code: the image of other
 * architectures (`Image`, arm64/booting.rst), the same packed by gzip, and EFI's packed form
 * (drivers/firmware/efi/libstub/zboot-header.S). Pure.
 */
export function isPackedKernel(head: Buffer): boolean {
  return isGzip(head) || isZboot(head) || head.toString('latin1', 0x38, 0x3c) === 'ARM\x64';
}

/** Returns the version of a kernel that `isPackedKernel` tells, null where none is found. Never throws. */
export function packedVersion(image: Buffer): string | null {
  const code = unpack(image);
  const found = code === null ? -1 : code.indexOf(BANNER, 0, 'latin1');
  return code === null || found === -1 ? null : firstWord(code, found + BANNER.length);
}

function unpack(image: Buffer): Buffer | null {
  try {
    if (isGzip(image)) return gunzipSync(image, { maxOutputLength: MAX_UNPACKED_BYTES });
    if (!isZboot(image)) return image;
    const start = image.readUInt32LE(8);
    const payload = image.subarray(start, start + image.readUInt32LE(12));
    const packer = image.toString('latin1', 24, 56).replace(/\0.*$/s, '');
    if (packer === 'gzip') return gunzipSync(payload, { maxOutputLength: MAX_UNPACKED_BYTES });
    if (packer.startsWith('zstd'))
      return zstdDecompressSync(payload, { maxOutputLength: MAX_UNPACKED_BYTES });
    return null;
  } catch (error) {
    // What cannot be unpacked tells no version, whatever is wrong with it.
    if (error instanceof Error) return null;
    throw error;
  }
}

const isGzip = (bytes: Buffer) => bytes[0] === 0x1f && bytes[1] === 0x8b;
const isZboot = (bytes: Buffer) =>
  bytes.toString('latin1', 0, 2) === 'MZ' && bytes.toString('latin1', 4, 8) === 'zimg';

function firstWord(bytes: Buffer, start: number): string | null {
  return /^[\w.+~-]+/.exec(bytes.toString('latin1', start, start + 256))?.[0] ?? null;
}
