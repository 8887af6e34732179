import { corrupt, readExact, unsupported } from '../base/bytes.js';
import type { ByteSource } from '../base/format.js';
import { guid } from '../base/guid.js';
import type { VhdxLayout } from './layout.js';

/** The only kind of parent locator that [MS-VHDX] defines: another VHDX. */
const VHDX_PARENT = 'b04aefb7d19e4a81b78925b8e9445913';
const HEADER_BYTES = 20;
const ENTRY_BYTES = 12;
const MAX_BYTES = 1024 * 1024;
const MAX_ENTRIES = 64;
/** In the order in which [MS-VHDX] tries them. */
const PATHS = ['relative_path', 'absolute_win32_path', 'volume_path'] as const;

/**
 * Reads which file a differencing disk was made on ([MS-VHDX] 2.6.2.6). Rejects with `fetch.corrupt`,
 * `fetch.unsupported`.
 */
export async function readParent(
  source: ByteSource,
  metadataOffset: number,
  item: { offset: number; length: number } | undefined,
): Promise<NonNullable<VhdxLayout['parent']>> {
  if (item === undefined || item.length < HEADER_BYTES || item.length > MAX_BYTES)
    throw corrupt('the VHDX is a differencing disk and does not name its parent');
  const bytes = await readExact(source, metadataOffset + item.offset, item.length, 'the VHDX parent locator');
  if (guid(bytes) !== VHDX_PARENT)
    throw unsupported(
      'the VHDX is a differencing disk whose parent is not a VHDX',
      'Merge it into its parent (Merge-VHD), and drop the merged disk.',
    );
  const values = readEntries(bytes);
  const linkage = (values.get('parent_linkage') ?? '').replace(/[{}-]/g, '').toLowerCase();
  if (!/^[0-9a-f]{32}$/.test(linkage)) throw corrupt('the VHDX parent locator has no usable parent_linkage');
  const path = PATHS.map((key) => values.get(key)).find((value) => value !== undefined && value !== '');
  return { name: path === undefined ? null : withoutUp(path), contentId: linkage };
}

function readEntries(bytes: Buffer): Map<string, string> {
  const count = bytes.readUInt16LE(18);
  if (count > MAX_ENTRIES || HEADER_BYTES + count * ENTRY_BYTES > bytes.length)
    throw corrupt('the VHDX parent locator does not fit its size');
  const values = new Map<string, string>();
  for (let i = 0; i < count; i += 1) {
    const at = HEADER_BYTES + i * ENTRY_BYTES;
    const text = (offset: number, length: number) => {
      if (offset + length > bytes.length) throw corrupt('the VHDX parent locator points outside of itself');
      return bytes.toString('utf16le', offset, offset + length);
    };
    const key = text(bytes.readUInt32LE(at), bytes.readUInt16LE(at + 8));
    values.set(key, text(bytes.readUInt32LE(at + 4), bytes.readUInt16LE(at + 10)));
  }
  return values;
}

/** A path that leads up is one of the old machine, of which only the file's name matters. */
function withoutUp(path: string): string {
  const parts = path.split(/[/\\]/);
  return parts.includes('..') ? parts.at(-1)! : path;
}
