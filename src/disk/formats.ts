import { Hyper2kvmError } from '../errors/error.js';
import { printable } from '../text/escape-terminal.js';
import { truncated } from './base/bytes.js';
import type { ByteSource, DiskFormat } from './base/format.js';
import { qcow2 } from './qcow2/index.js';
import { raw } from './raw.js';
import { vdi } from './vdi.js';
import { vhd } from './vhd/index.js';
import { vhdx } from './vhdx/index.js';
import { vmdk } from './vmdk/index.js';

/** Every format, one line each. Formats with a magic come before raw. */
export const FORMATS: readonly DiskFormat[] = [vmdk, qcow2, vhdx, vhd, vdi, raw];

export function formatByName(name: string): DiskFormat {
  const format = FORMATS.find((candidate) => candidate.name === name);
  if (format === undefined)
    throw new Hyper2kvmError('internal.unexpected', `no disk format ${printable(name)}`);
  return format;
}

/**
 * True for the files that backup products leave beside every disk, which record the blocks changed since the
 * last backup.
 */
export function isChangeTracking(name: string): boolean {
  return /-ctk\.vmdk$/i.test(name);
}

/** Returns the extension in lower case without the dot, or an empty string. */
function extensionOf(name: string): string {
  return /\.([A-Za-z0-9]+)$/.exec(name)?.[1]?.toLowerCase() ?? '';
}

/**
 * Returns the format that a name claims. ESXi's changed block tracking has a VMDK's extension, but is none.
 */
export function formatOfExtension(name: string): DiskFormat | null {
  if (isChangeTracking(name)) return null;
  return FORMATS.find(({ extensions }) => extensions.includes(extensionOf(name))) ?? null;
}

/**
 * Returns the format of the content, which must be the one claimed by the name or by a description: a guest
 * can write any header into its own raw disk, so neither a header alone nor a name alone proves anything.
 * Null if no format is recognised, and for plain bytes if the name claims no format. Throws
 * `fetch.conflicting-format`, and `fetch.truncated` if a format's signature is at the end and has not
 * arrived.
 */
export async function detectFormat(
  claimed: DiskFormat | null,
  source: ByteSource,
): Promise<DiskFormat | null> {
  const head = await source.read(0, 4096);
  const found: DiskFormat[] = [];
  for (const format of FORMATS) {
    if (await format.detect(head, source)) found.push(format);
  }
  const special = found.filter((format) => format !== raw);
  if (special.length > 1) {
    throw conflict(
      `the file has the signatures of several formats: ${special.map((format) => format.name).join(', ')}`,
      'No tool writes such a file. Export the disk again.',
    );
  }
  const content = special[0] ?? found[0] ?? null;
  if (claimed?.markAtEnd && special.length === 0)
    throw truncated(`the end of the ${claimed.name} image has not arrived`);
  if (content === null || claimed === content) return content;
  if (claimed === null && content === raw) return null;
  throw conflict(
    `the content is ${content.name}, the name says ${claimed?.name ?? 'nothing about it'}`,
    `If the file really is a ${content.name} image, rename it to end in .${content.extensions[0]}.`,
  );
}

function conflict(message: string, advice: string): Hyper2kvmError {
  return new Hyper2kvmError('fetch.conflicting-format', message, { advice });
}
