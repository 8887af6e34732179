import { join } from 'node:path';
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
import { BLANK, isFlatName, isOva, type ReadImage, readImageFile } from '../disk/read-image.js';
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
/** Real ones have some kilobytes. FETCH reads larger ones, too. */
const MAX_DESCRIPTION = 1024 * 1024;
/** A disk of as many pieces is not waited for: FETCH says what is missing of it. */
const MOST_NEEDS = 2_000;

export interface ProbeOptions {
  /**
   * A further hard link may be somebody else's file: FETCH refuses it, and until then nothing of it is read.
   */
  refuseHardLinks?: boolean;
  /**
   * The tables of sparse formats, which may be gigabytes: left out when a file is read for the first time
   * (`isUnchecked`). Default true.
   */
  checkTables?: boolean;
  signal?: AbortSignal;
}

/**
 * Reads what grouping wants to know of one file, `path` relative to `incoming`. Opens with O_NOFOLLOW. Reads
 * a few KiB, and with `checkTables` the tables of sparse formats for completeness (4 bytes for each 64 KiB of
 * the disk), so call it again only when the file changed. Never rejects for what is in the file: what FETCH
 * will refuse counts as there, so that it gets to FETCH. Rejects with the system's error where the file went
 * away, and with the signal's reason.
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

/** The same over any bytes. */
export async function factsOf(
  name: string,
  source: ByteSource,
  { checkTables = true }: Pick<ProbeOptions, 'checkTables'> = {},
): Promise<HeaderFacts> {
  if (/\.vmx$/i.test(name)) return descriptionFacts('vmx', source, (bytes) => parseVmx(bytes).files);
  if (/\.ovf$/i.test(name)) return descriptionFacts('ovf', source, referencedFiles);
  if (/\.vmsd$/i.test(name)) return { ...NOTHING, frozen: await frozenDisks(source, parseVmsd) };
  if (/\.vbox$/i.test(name)) return { ...NOTHING, frozen: await frozenDisks(source, parseVbox) };
  const whole = pieceOf(name)?.whole ?? null;
  if (whole !== null && claimsDisk(whole)) return { ...NOTHING, kind: 'extent' };
  const packed = isOva(name) ? await compressionIn(name, source) : compressionOf(name);
  if (isOva(name) && packed === null) return archiveFacts(source);
  if (packed !== null) return packedFacts(packed.compression, source);
  const file = await readImageFile(name, source, { anyRaw: false });
  if (file.image !== null) return imageFacts(file, checkTables ? source : null);
  if (isFlatName(name)) return { ...NOTHING, kind: 'extent', format: 'vmdk' };
  const mayStillCome =
    file.error?.code === 'fetch.truncated' ||
    (file.error?.code === 'fetch.unknown-format' && (await isUnwritten(source)));
  if (mayStillCome) return { ...NOTHING, kind: 'unreadable' };
  // Refused for its content: it is a disk for the purpose of grouping, and FETCH will say what is wrong with
  // it.
  return file.error === null || file.error.code === 'fetch.unknown-format'
    ? NOTHING
    : { ...NOTHING, kind: 'disk' };
}

function claimsDisk(name: string): boolean {
  return formatOfExtension(innerName(name)) !== null || isOva(innerName(name));
}

/**
 * Nothing there yet, or a preallocated file whose first bytes were not written so far. A short text file
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

/** `source`: where the tables are to be checked; null where they are not. */
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
      ...image.extents.slice(0, MOST_NEEDS).map((extent) => extent.name),
    ]),
    contentId: image.contentId,
    parentId: image.parent?.contentId ?? null,
    // An empty data disk beside others is taken in the end, a copy that was preallocated gets its time.
    incomplete: isBlank ? 'only zeros so far' : source === null ? null : await missingBytes(check!, source),
    ...(isBlank || source !== null ? {} : { isUnchecked: true }),
  };
}

/** Null also where the tables make no sense: no waiting repairs them, FETCH says it. */
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
    return { ...facts, ...references(files.slice(0, MOST_NEEDS)) };
  } catch (error) {
    if (!(error instanceof Hyper2kvmError)) throw error;
    // It is small: cut in the middle it looks like anything else that cannot be read, so it gets its time.
    return { ...facts, incomplete: error.message };
  }
}

/** Empty also where it cannot be read: it is a hint, the disks count. */
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

/** What is in it shows when FETCH unpacks it. Only xz has an end that can be recognised from outside. */
async function packedFacts({ name, magic }: Compression, source: ByteSource): Promise<HeaderFacts> {
  const facts: HeaderFacts = { ...NOTHING, kind: 'disk', format: name };
  const head = await source.read(0, magic.length);
  if (head.length < magic.length || head.every((byte) => byte === 0)) return { ...facts, kind: 'unreadable' };
  if (name !== 'xz' || !head.equals(magic)) return facts;
  const end = (await source.read(Math.max(0, source.size - 2), 2)).toString('latin1');
  return end === 'YZ' ? facts : { ...facts, incomplete: 'the end of the xz stream has not arrived' };
}

/** Of a file's references. What FETCH refuses is in neither list: nothing to wait for. */
function references(written: readonly string[]): Pick<HeaderFacts, 'needs' | 'uses'> {
  const names = (wanted: boolean) =>
    written.filter((reference) => isPath(reference) === wanted).flatMap(plainName);
  const uses = names(true);
  return { needs: names(false), ...(uses.length === 0 ? {} : { uses }) };
}

/** A parent is known by the path that it had, and is waited for. */
function withoutPath(parent: string): string {
  return parent.split(/[/\\]/).includes('..') ? parent : (plainName(parent)[0] ?? parent);
}

function plainName(reference: string): string[] {
  try {
    // A copy: what is cut out of a text keeps all of it in memory.
    return [Buffer.from(referencedName(reference, '')).toString()];
  } catch (error) {
    if (error instanceof Hyper2kvmError) return [];
    throw error;
  }
}
