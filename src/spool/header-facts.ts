import { join } from 'node:path';
import { asksForRemote } from '../config/job-source.js';
import { isArchive } from '../disk/base/archive-names.js';
import type { ByteSource, ParsedImage } from '../disk/base/format.js';
import { isPath, referencedName } from '../disk/base/names.js';
import { pieceOf } from '../disk/base/pieces.js';
import { indexTar } from '../disk/base/tar.js';
import { indexZip, looksLikeZip } from '../disk/base/zip.js';
import { type Compression, compressionIn, compressionOf, innerName } from '../disk/compression.js';
import { withFile } from '../disk/file-source.js';
import { foreignArchive } from '../disk/foreign.js';
import { formatOfExtension } from '../disk/formats.js';
import { referencedFiles } from '../disk/ovf/ovf.js';
import { BLANK, isFlatName, type ReadImage, readImageFile } from '../disk/read-image.js';
import { parseVbox } from '../disk/virtualbox/vbox.js';
import { parseVmsd } from '../disk/vmsd.js';
import { parseVmx } from '../disk/vmx.js';
import { Hyper2kvmError } from '../errors/error.js';
import type { HeaderFacts } from '../model/drop.js';

const NOTHING: HeaderFacts = {
  kind: 'nothing',
  format: null,
  needs: [],
  contentId: null,
  parentId: null,
  incomplete: null,
};
/** Real ones have a few KiB. FETCH also reads larger ones. */
const MAX_DESCRIPTION = 1024 * 1024;
/** A disk with this many pieces does not wait for them: FETCH reports what is missing. */
const MAX_NEEDS = 2_000;

export interface ProbeOptions {
  /**
   * A file with further hard links may belong to somebody else: FETCH refuses it, and until then nothing of
   * it is read.
   */
  refuseHardLinks?: boolean;
  /**
   * Whether to check the tables of sparse formats, which may have gigabytes; not done when a file is read for
   * the first time (`isUnchecked`). Default true.
   */
  checkTables?: boolean;
  signal?: AbortSignal;
}

/**
 * Reads what grouping needs to know about one file; `path` is relative to `incoming`. Opens it with
 * O_NOFOLLOW. Reads a few KiB, and with `checkTables` the tables of sparse formats for completeness (4 bytes
 * for each 64 KiB of the disk), so call it again only if the file changed. Never rejects because of the
 * content: what FETCH will refuse counts as complete, so that it reaches FETCH. Rejects with the system's
 * error if the file disappeared, and with the signal's reason.
 */
export async function probeIncoming(
  incoming: string,
  path: string,
  { refuseHardLinks = false, signal, ...options }: ProbeOptions = {},
): Promise<HeaderFacts> {
  const name = path.split('/').at(-1)!;
  try {
    return await withFile(
      join(incoming, path),
      ({ source, links }) =>
        links > 1 && refuseHardLinks ? Promise.resolve(NOTHING) : factsOf(name, source, options),
      signal,
    );
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof Hyper2kvmError) return NOTHING;
    throw error;
  }
}

/** Returns the same for any bytes. */
export async function factsOf(
  name: string,
  source: ByteSource,
  { checkTables = true }: Pick<ProbeOptions, 'checkTables'> = {},
): Promise<HeaderFacts> {
  if (name.endsWith('.job.toml')) return orderFacts(source);
  if (/\.vmx$/i.test(name)) return descriptionFacts('vmx', source, (bytes) => parseVmx(bytes).files);
  if (/\.ovf$/i.test(name)) return descriptionFacts('ovf', source, referencedFiles);
  if (/\.vmsd$/i.test(name)) return { ...NOTHING, frozen: await frozenDisks(source, parseVmsd) };
  if (/\.vbox$/i.test(name)) return { ...NOTHING, frozen: await frozenDisks(source, parseVbox) };
  const whole = pieceOf(name)?.whole ?? null;
  if (whole !== null && claimsDisk(whole)) return { ...NOTHING, kind: 'extent' };
  const packed = isArchive(name) ? await compressionIn(name, source) : compressionOf(name);
  if (isArchive(name) && packed === null) return archiveFacts(source);
  if (packed !== null) return packedFacts(packed.compression, source);
  const file = await readImageFile(name, source, { anyRaw: false });
  if (file.image !== null) return imageFacts(file, checkTables ? source : null);
  if (isFlatName(name)) return { ...NOTHING, kind: 'extent', format: 'vmdk' };
  const isUnfinished =
    file.error?.code === 'fetch.truncated' ||
    (file.error?.code === 'fetch.unknown-format' && (await isUnwritten(source)));
  if (isUnfinished) return { ...NOTHING, kind: 'unreadable' };
  // Refused for its content: grouping treats it as a disk, and FETCH reports what is wrong.
  return file.error === null || file.error.code === 'fetch.unknown-format'
    ? NOTHING
    : { ...NOTHING, kind: 'disk' };
}

function claimsDisk(name: string): boolean {
  return formatOfExtension(innerName(name)) !== null || isArchive(innerName(name));
}

/**
 * True for an empty file, or a preallocated one whose first bytes are not written yet. A short text file
 * counts as unfinished only if it could be the start of a descriptor.
 */
async function isUnwritten(source: ByteSource): Promise<boolean> {
  const head = await source.read(0, 4096);
  if (head.every((byte) => byte === 0)) return true;
  return (
    head.length < 512 &&
    (!/^[\t\n\r -~]*$/.test(head.toString('latin1')) || head.toString('latin1').startsWith('#'))
  );
}

/** Returns the facts of an image. `source` is null if the tables are not to be checked. */
async function imageFacts(
  { image: known, check }: ReadImage,
  source: ByteSource | null,
): Promise<HeaderFacts> {
  const image = known!;
  const isBlank = image.variant === BLANK;
  return {
    kind: image.role,
    format: image.format,
    ...references([
      ...(image.parent?.name == null ? [] : [withoutPath(image.parent.name)]),
      ...image.extents.slice(0, MAX_NEEDS).map((extent) => extent.name),
    ]),
    contentId: image.contentId,
    parentId: image.parent?.contentId ?? null,
    // A file of zeros is an empty data disk or a preallocated copy: it waits, and is claimed in the end.
    incomplete: isBlank ? 'only zeros so far' : source === null ? null : await missingBytes(check!, source),
    ...(isBlank || source !== null ? {} : { isUnchecked: true }),
  };
}

/**
 * Returns what is missing; null also if the tables are invalid, which waiting cannot repair and FETCH
 * reports.
 */
async function missingBytes(check: ParsedImage['check'], source: ByteSource): Promise<string | null> {
  try {
    const result = await check(source);
    return result.complete ? null : result.reason;
  } catch (error) {
    if (error instanceof Hyper2kvmError) return null;
    throw error;
  }
}

async function descriptionFacts(
  format: string,
  source: ByteSource,
  filesOf: (bytes: Buffer) => string[],
): Promise<HeaderFacts> {
  const facts: HeaderFacts = { ...NOTHING, kind: source.size === 0 ? 'unreadable' : 'description', format };
  if (source.size === 0 || source.size > MAX_DESCRIPTION) return facts;
  try {
    const files = filesOf(await source.read(0, source.size));
    return { ...facts, ...references(files.slice(0, MAX_NEEDS)) };
  } catch (error) {
    if (!(error instanceof Hyper2kvmError)) throw error;
    // It is small: truncated, it looks like any unreadable file, so it is given time.
    return { ...facts, incomplete: error.message };
  }
}

/** A job.toml: it may ask for a VM that is elsewhere. One that cannot be read is left to its disks. */
async function orderFacts(source: ByteSource): Promise<HeaderFacts> {
  if (source.size > MAX_DESCRIPTION) return NOTHING;
  const text = (await source.read(0, source.size)).toString('utf8');
  return asksForRemote(text) ? { ...NOTHING, kind: 'order' } : NOTHING;
}

/** Returns an empty list if it cannot be read: it is only a hint, and the disks decide. */
async function frozenDisks(source: ByteSource, parse: (bytes: Buffer) => string[]): Promise<string[]> {
  if (source.size > MAX_DESCRIPTION) return [];
  try {
    return parse(await source.read(0, source.size));
  } catch (error) {
    if (error instanceof Hyper2kvmError) return [];
    throw error;
  }
}

async function archiveFacts(source: ByteSource): Promise<HeaderFacts> {
  const facts: HeaderFacts = { ...NOTHING, kind: 'disk', format: 'ova' };
  // FETCH says what it is.
  if (await looksLikeOther(source)) return facts;
  try {
    await (looksLikeZip(await source.read(0, 4)) ? indexZip(source) : indexTar(source));
    return facts;
  } catch (error) {
    if (!(error instanceof Hyper2kvmError)) throw error;
    return error.code === 'fetch.truncated' ? { ...facts, incomplete: error.message } : facts;
  }
}

async function looksLikeOther(source: ByteSource): Promise<boolean> {
  return !looksLikeZip(await source.read(0, 4)) && (await foreignArchive(source)) !== null;
}

/**
 * FETCH finds out what is inside when it unpacks the file. Only xz has an end that can be recognised from
 * outside.
 */
async function packedFacts({ name, magic }: Compression, source: ByteSource): Promise<HeaderFacts> {
  const facts: HeaderFacts = { ...NOTHING, kind: 'disk', format: name };
  const head = await source.read(0, magic.length);
  if (head.length < magic.length || head.every((byte) => byte === 0)) return { ...facts, kind: 'unreadable' };
  if (name !== 'xz' || !head.equals(magic)) return facts;
  const end = (await source.read(Math.max(0, source.size - 2), 2)).toString('latin1');
  return end === 'YZ' ? facts : { ...facts, incomplete: 'the end of the xz stream has not arrived' };
}

/**
 * Sorts a file's references. One that FETCH refuses is in neither list, because there is nothing to wait for.
 */
function references(written: readonly string[]): Pick<HeaderFacts, 'needs' | 'uses'> {
  const names = (wanted: boolean) =>
    written.filter((reference) => isPath(reference) === wanted).flatMap(plainName);
  const uses = names(true);
  return { needs: names(false), ...(uses.length === 0 ? {} : { uses }) };
}

/** A parent is recorded with its original path; its plain name is what to wait for. */
function withoutPath(parent: string): string {
  return parent.split(/[/\\]/).includes('..') ? parent : (plainName(parent)[0] ?? parent);
}

function plainName(reference: string): string[] {
  try {
    // Copied, because a substring keeps the whole text in memory.
    return [Buffer.from(referencedName(reference, '')).toString()];
  } catch (error) {
    if (error instanceof Hyper2kvmError) return [];
    throw error;
  }
}
