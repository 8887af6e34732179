import { MAX_DESCRIPTOR, SECTOR } from '../base/format.js';

export interface RenderedExtent {
  kind: 'FLAT' | 'SPARSE' | 'SESPARSE';
  /** Bytes. */
  size: number;
  /** Bytes, FLAT only. */
  offset: number;
  /** Relative to the descriptor's directory, or absolute. */
  path: string;
}

/** QEMU's own limits (block/vmdk.c): the name buffer of an extent line, and the text that it reads. */
const MAX_PATH = 511;

/**
 * Returns the text of a descriptor for QEMU's vmdk driver to read instead of the dropped one. It names only
 * verified files, in the one form that QEMU does not skip or misread. Null if a path cannot be written (it
 * contains a quote or a line end, or has more than 511 bytes).
 */
export function renderDescriptor(descriptor: {
  contentId: string;
  parentId: string | null;
  parentPath: string | null;
  extents: readonly RenderedExtent[];
}): string | null {
  const { contentId, parentId, parentPath, extents } = descriptor;
  const paths = [...extents.map(({ path }) => path), ...(parentPath === null ? [] : [parentPath])];
  if (paths.some((path) => /["\r\n\0]/.test(path) || Buffer.byteLength(path) > MAX_PATH)) return null;
  const lines = [
    '# Disk DescriptorFile',
    'version=1',
    `CID=${contentId.padStart(8, '0')}`,
    `parentCID=${(parentId ?? 'ffffffff').padStart(8, '0')}`,
    // QEMU accepts any mix of flat, sparse and seSparse extents with this type.
    'createType="twoGbMaxExtentSparse"',
    ...(parentPath === null ? [] : [`parentFileNameHint="${parentPath}"`]),
    // Never an empty line here: QEMU's sscanf skips it and counts the extent after it twice.
    '# Extent description',
    ...extents.map(({ kind, size, offset, path }) =>
      kind === 'FLAT'
        ? `RW ${size / SECTOR} FLAT "${path}" ${offset / SECTOR}`
        : `RW ${size / SECTOR} ${kind} "${path}"`,
    ),
    '',
  ];
  const text = lines.join('\n');
  return Buffer.byteLength(text) < MAX_DESCRIPTOR ? text : null;
}
