import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { extract, type Header } from 'tar-stream';
import type { TreeEntry } from '../guest/tree.js';
import type { Capture } from './guest-reader.js';

/**
 * A name that is not UTF-8 is decoded to contain this, so that a path with it would lead to another file than
 * the one that was read.
 */
const UNDECODABLE = '\u{fffd}';

/** Yields the entries of a tar archive that was made in `directory`, with names that begin with `./`. */
export async function* tarEntries(
  archive: Readable,
  { directory, isKept }: Pick<Capture, 'directory' | 'isKept'>,
): AsyncGenerator<TreeEntry> {
  const members = extract();
  const piped = pipeline(archive, members);
  // Awaited at the end; until then a rejection would be unhandled.
  piped.catch(() => undefined);
  const files = new Map<string, TreeEntry>();
  try {
    for await (const member of members) {
      const { header } = member;
      const path = guestPath(directory, header.name);
      const isWanted =
        header.type === 'file' && !path.includes(UNDECODABLE) && isKept(path, header.size ?? 0);
      const content = isWanted ? await bytesOf(member) : undefined;
      if (!isWanted) member.resume();
      const entry = entryOf(path, header, content, files.get(guestPath(directory, header.linkname ?? '')));
      if (entry === null) continue;
      if (entry.type === 'file') files.set(path, entry);
      yield entry;
    }
    await piped;
  } finally {
    members.destroy();
    await piped.catch(() => undefined);
  }
}

/**
 * `twin` is the member of which this is a further hard link, stored without data. Null for devices, sockets
 * and pipes.
 */
function entryOf(
  path: string,
  { type = 'file', mode = 0, uid = 0, gid = 0, size = 0, linkname }: Header,
  content: Buffer | undefined,
  twin: TreeEntry | undefined,
): TreeEntry | null {
  const owner = { mode, uid, gid };
  switch (type) {
    case 'directory':
      return { path, type, ...owner, size };
    case 'symlink':
      return { path, type, ...owner, size, target: linkname ?? '' };
    case 'link':
      return { path, type: 'file', ...owner, size: twin?.size ?? size, ...withContent(twin?.content) };
    case 'file':
    case 'contiguous-file':
      return { path, type: 'file', ...owner, size, ...withContent(content) };
    default:
      return null;
  }
}

const withContent = (content: Buffer | undefined) => (content === undefined ? {} : { content });

async function bytesOf(member: AsyncIterable<unknown>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of member) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** Returns the path in the guest for a name relative to `directory`. */
export function guestPath(directory: string, name: string): string {
  const relative = name.replace(/^\.?\/*/, '').replace(/\/+$/, '');
  const base = directory === '/' ? '' : directory;
  return relative === '' || relative === '.' ? directory : `${base}/${relative}`;
}
