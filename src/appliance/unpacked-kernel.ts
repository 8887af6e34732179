import { link, mkdtemp, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzip, zstdDecompress } from 'node:zlib';
import { writeDurable } from '../files/durable.js';
import { exists } from '../files/exists.js';
import { run } from '../tools/run.js';

/** A larger kernel stays packed: real ones have 40 to 80 MiB. */
const MAX_BYTES = 256 * 1024 * 1024;
/** Of Linux' boot protocol (arch/x86/boot.rst). */
const HEADER = { sectors: 0x1f1, magic: 0x202, payload: 0x248, payloadBytes: 0x24c, bytes: 0x250 };
const SECTOR_BYTES = 512;
/** Since protocol 2.08, `payload_offset` counts from the end of the real-mode code. */
const DEFAULT_SECTORS = 4;

const XZ_MAGIC = 'fd377a585a00';
const ZSTD_MAGIC = '28b52ffd';
const GZIP_MAGIC = '1f8b';

const KERNEL = 'kernel';
/** Links to what supermin has built. */
const OTHERS = ['initrd', 'root', 'README.fixed'];
const PREFIX = 'unpacked-';

/** What supermin builds anew; README.fixed is ours, and two processes may write it one after the other. */
const BUILT = [KERNEL, 'initrd', 'root'];
/** A younger directory may be one that another process makes or starts from just now. */
const KEPT_MS = 3_600_000;

/**
 * Returns the directory of the same appliance with its kernel unpacked (`unpackedKernel`), where that is
 * possible. It is made again, in `directory`, when supermin has built another one.
 */
export async function withUnpackedKernel(
  built: string,
  directory: string,
  signal: AbortSignal,
): Promise<string> {
  const own = await nameOf(built);
  const path = join(directory, own);
  if (!(await exists(path))) {
    const made = await mkdtemp(join(directory, `${PREFIX}new-`));
    try {
      await fill(made, built, signal);
      if ((await nameOf(built)) === own) await rename(made, path);
    } catch (error) {
      // Another process may have made it meanwhile.
      if (!(await exists(path))) throw error;
    } finally {
      await rm(made, { recursive: true, force: true });
    }
    // Supermin built another one meanwhile, in another process: what was linked may be of both.
    if (!(await exists(path))) return withUnpackedKernel(built, directory, signal);
  }
  await removeOthers(directory, own);
  return path;
}

async function nameOf(built: string): Promise<string> {
  const files = await Promise.all(BUILT.map((name) => stat(join(built, name))));
  return `${PREFIX}${files.map(({ mtimeMs }) => Math.floor(mtimeMs).toString(36)).join('-')}`;
}

async function fill(made: string, built: string, signal: AbortSignal): Promise<void> {
  const packed = join(built, KERNEL);
  const kernel = await unpackedKernel(await readFile(packed), signal);
  if (kernel === null) await link(packed, join(made, KERNEL));
  else await writeDurable(join(made, KERNEL), kernel);
  for (const name of OTHERS) await link(join(built, name), join(made, name));
}

/** Removes older ones, and what a crash left. */
async function removeOthers(directory: string, own: string): Promise<void> {
  for (const name of await readdir(directory)) {
    if (!name.startsWith(PREFIX) || name === own) continue;
    const stats = await stat(join(directory, name)).catch(() => null);
    if (stats !== null && Date.now() - stats.mtimeMs > KEPT_MS)
      await rm(join(directory, name), { recursive: true, force: true });
  }
}

/**
 * Returns the ELF program that an x86 `bzImage` unpacks itself to, if QEMU can start it directly (by the entry
 * point of PVH); otherwise null. Unpacking is what a kernel spends most of its start on without KVM: 65 MB of xz
 * are 1 s here, and several in the emulated machine.
 */
export async function unpackedKernel(image: Buffer, signal: AbortSignal): Promise<Buffer | null> {
  const payload = payloadOf(image);
  const kernel = payload === null ? null : await unpack(payload, signal);
  return kernel !== null && hasPvhEntry(kernel) ? kernel : null;
}

function payloadOf(image: Buffer): Buffer | null {
  if (image.length < HEADER.bytes) return null;
  if (image.toString('latin1', HEADER.magic, HEADER.magic + 4) !== 'HdrS') return null;
  const start =
    ((image[HEADER.sectors] || DEFAULT_SECTORS) + 1) * SECTOR_BYTES + image.readUInt32LE(HEADER.payload);
  return image.subarray(start, start + image.readUInt32LE(HEADER.payloadBytes));
}

async function unpack(payload: Buffer, signal: AbortSignal): Promise<Buffer | null> {
  const magic = payload.toString('hex', 0, 6);
  try {
    if (magic.startsWith(GZIP_MAGIC)) return await promisify(gunzip)(payload, { maxOutputLength: MAX_BYTES });
    if (magic.startsWith(ZSTD_MAGIC))
      return await promisify(zstdDecompress)(payload, { maxOutputLength: MAX_BYTES });
    if (magic !== XZ_MAGIC) return null;
    // The stream is followed by its unpacked size.
    const args = ['--format=xz', '-dcq', '--single-stream'];
    return (await run('xz', args, { signal, input: payload, maxOutputBytes: MAX_BYTES })).stdout;
  } catch {
    signal.throwIfAborted();
    // The packed kernel starts as well.
    return null;
  }
}

/** Offsets in the headers of a 64-bit ELF file (elf(5)). */
const ELF = { programHeaders: 0x20, headerBytes: 0x36, headers: 0x38, bytes: 0x40 };
const PT_NOTE = 4;
/** `XEN_ELFNOTE_PHYS32_ENTRY` of Xen's note section (xen/include/public/elfnote.h). */
const PHYS32_ENTRY = 18;

/** True for a 64-bit ELF kernel with the note that names its entry for PVH, which QEMU looks for. */
function hasPvhEntry(kernel: Buffer): boolean {
  if (kernel.length < ELF.bytes || kernel.toString('latin1', 0, 6) !== '\x7fELF\x02\x01') return false;
  const first = Number(kernel.readBigUInt64LE(ELF.programHeaders));
  const size = kernel.readUInt16LE(ELF.headerBytes);
  for (let index = 0; index < kernel.readUInt16LE(ELF.headers); index++) {
    const header = kernel.subarray(first + index * size, first + (index + 1) * size);
    if (header.length < 0x38 || header.readUInt32LE(0) !== PT_NOTE) continue;
    const start = Number(header.readBigUInt64LE(0x08));
    if (hasNote(kernel.subarray(start, start + Number(header.readBigUInt64LE(0x20))))) return true;
  }
  return false;
}

function hasNote(notes: Buffer): boolean {
  const padded = (bytes: number) => Math.ceil(bytes / 4) * 4;
  for (let at = 0; at + 12 <= notes.length; ) {
    const [nameBytes, bytes, type] = [0, 4, 8].map((offset) => notes.readUInt32LE(at + offset)) as [
      number,
      number,
      number,
    ];
    if (type === PHYS32_ENTRY && notes.toString('latin1', at + 12, at + 15) === 'Xen') return true;
    at += 12 + padded(nameBytes) + padded(bytes);
  }
  return false;
}
