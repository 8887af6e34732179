import { posix } from 'node:path';
import { gzipSync } from 'node:zlib';
import { Hyper2kvmError } from '../errors/error.js';
import { S_IFDIR, S_IFLNK, S_IFREG, writeNewc } from './cpio.js';
import { lz4LegacyStore } from './initramfs-container.js';
import type { InitramfsListing, LibDirectory } from './initramfs-listing.js';

/**
 * Returns what to append to an initramfs of `listing.size` bytes so that the kernel unpacks `files` over it:
 * padding to 4 bytes, then one newc archive, gzip with mtime 0 (for an lz4 initramfs stored lz4, see
 * lz4LegacyStore). `files` are guest paths under `/lib/modules` or `/usr/lib/modules`; they go under the
 * initramfs's `lib`. Directories that it has already, and links, get no entry: an entry for a linked
 * directory would replace the link. The same input gives the same bytes.
 *
 * The guest's module index replaces the one inside. If the tool that built the initramfs unpacked the modules
 * (`ext4.ko` for `ext4.ko.xz`), or put all of them into one directory (mkinitcpio until 2014), the index would
 * name missing files, so links with the index's names are added (kmod goes by content, not by suffix).
 */
export function buildAppendix(
  files: readonly { path: string; content: Buffer }[],
  lib: LibDirectory,
  listing: Pick<InitramfsListing, 'size' | 'segments' | 'files' | 'directories' | 'links'>,
  replacements: readonly { path: string; text: string | null }[] = [],
): Buffer {
  const placed = files.map(({ path, content }) => ({
    path: insidePath(path, lib),
    mode: S_IFREG | 0o644,
    data: content,
  }));
  const replaced = replacements.map(({ path, text }) => ({
    path,
    mode: text === null ? S_IFLNK | 0o777 : S_IFREG | 0o600,
    data: Buffer.from(text ?? NOWHERE),
  }));
  const entries = [...placed, ...replaced, ...indexLinks(files, placed, lib, listing)];
  const taken = new Set([...listing.directories, ...Object.keys(listing.links)]);
  const directories = new Set(
    entries.flatMap(({ path }) => parents(path)).filter((path) => !taken.has(path)),
  );
  const archive = writeNewc([
    ...[...directories].map((path) => ({ path, mode: S_IFDIR | 0o755 })),
    ...entries,
  ]);
  if (listing.segments.at(-1)?.compression === 'lz4') return lz4LegacyStore(archive);
  const padding = Buffer.alloc((4 - (listing.size % 4)) % 4);
  const packed = gzipSync(archive, { level: 9 });
  // Byte 9 of the header is the packer's operating system: "unknown", whatever zlib was built for.
  packed[9] = 0xff;
  return Buffer.concat([padding, packed]);
}

/**
 * The target of the link that replaces an unwanted file. A later archive cannot remove a file, but an entry
 * of another type replaces it (init/initramfs.c, clean_path).
 */
const NOWHERE = '/removed-by-hyper2kvm';

function insidePath(path: string, lib: LibDirectory): string {
  const inside = /^\/(?:usr\/)?lib\/(modules\/.+)$/.exec(posix.normalize(path))?.[1];
  if (inside === undefined)
    throw new Hyper2kvmError('guest.appendix-path', `not a path under /lib/modules: ${path}`);
  return `${lib}/${inside}`;
}

function parents(path: string): string[] {
  const parts = path.split('/').slice(0, -1);
  return parts.map((_, index) => parts.slice(0, index + 1).join('/'));
}

const withoutCompression = (path: string): string => path.replace(/\.ko\.(?:xz|gz|zst|bz2)$/, '.ko');

function indexLinks(
  files: readonly { path: string; content: Buffer }[],
  placed: readonly { path: string }[],
  lib: LibDirectory,
  listing: Pick<InitramfsListing, 'files'>,
): { path: string; mode: number; data: Buffer }[] {
  const index = files.find(({ path }) => posix.basename(path) === 'modules.dep');
  if (index === undefined) return [];
  const directory = posix.dirname(insidePath(index.path, lib));
  const modules = listing.files.filter((file) => file.startsWith(`${directory}/`));
  const byPath = new Map(modules.map((file) => [withoutCompression(file), file]));
  const byName = new Map(modules.map((file) => [posix.basename(withoutCompression(file)), file]));
  const there = new Set([...listing.files, ...placed.map(({ path }) => path)]);
  return index.content
    .toString('latin1')
    .split('\n')
    .flatMap((line) => {
      // Before module-init-tools 3.3 the paths were absolute.
      const name = (line.split(':', 1)[0] ?? '').replace(/^\/(?:usr\/)?lib\/modules\/[^/]+\//, '');
      const path = posix.join(directory, name);
      if (name === '' || !path.startsWith(`${directory}/`)) return [];
      const plain = withoutCompression(path);
      const file = byPath.get(plain) ?? byName.get(posix.basename(plain));
      if (file === undefined || there.has(path)) return [];
      const target = posix.relative(posix.dirname(path), file);
      return [{ path, mode: S_IFLNK | 0o777, data: Buffer.from(target) }];
    });
}
