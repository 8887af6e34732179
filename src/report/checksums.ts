import { constants } from 'node:fs';
import { open, readdir } from 'node:fs/promises';
import { digestHandle } from '../files/digest.js';
import type { SourceFile } from '../model/report.js';

const SLASH = Buffer.from('/');

/**
 * Returns all regular files below `directory`, sorted by the bytes of their paths. Links and special files
 * are neither followed nor listed.
 */
async function listFiles(directory: string, below: Buffer = Buffer.alloc(0)): Promise<Buffer[]> {
  const here = below.length === 0 ? Buffer.from(directory) : joinBytes(Buffer.from(directory), below);
  const names = await readdir(here, { withFileTypes: true, encoding: 'buffer' });
  const files: Buffer[] = [];
  for (const entry of names) {
    const path = below.length === 0 ? entry.name : joinBytes(below, entry.name);
    if (entry.isDirectory()) files.push(...(await listFiles(directory, path)));
    else if (entry.isFile()) files.push(path);
  }
  return files.sort(Buffer.compare);
}

export function joinBytes(directory: Buffer, name: Buffer): Buffer {
  return Buffer.concat([directory, SLASH, name]);
}

/**
 * Returns the SHA-256 (hex) and the size in bytes of a file, and syncs its content to disk: what the bundle
 * lists must survive a power loss, and a freshly dropped file may be only in the page cache. Links are
 * refused (ELOOP).
 */
export async function digestFile(
  path: Buffer,
  signal?: AbortSignal,
): Promise<{ sha256: string; size: number }> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const digest = await digestHandle(file, signal);
    await file.sync();
    return digest;
  } finally {
    await file.close();
  }
}

/**
 * Returns a line of a SHA256SUMS file as GNU coreutils writes and checks it: a name with a newline, a
 * carriage return or a backslash is escaped, which a leading backslash indicates.
 */
export function checksumLine(sha256: string, path: Buffer): Buffer {
  const escaped = path
    .toString('latin1')
    .replace(/[\\\n\r]/g, (c) => (c === '\\' ? '\\\\' : c === '\n' ? '\\n' : '\\r'));
  const mark = escaped.length === path.length ? '' : '\\';
  return Buffer.from(`${mark}${sha256}  ${escaped}\n`, 'latin1');
}

/** `path` is relative to the directory that was digested. */
export interface Digest {
  path: Buffer;
  sha256: string;
}

/** Returns size and digest of every regular file of a drop. */
export async function digestSource(
  source: { directory: string; entries: readonly string[] },
  signal?: AbortSignal,
): Promise<{ path: Buffer; file: SourceFile }[]> {
  const entries = new Set(source.entries);
  const files: { path: Buffer; file: SourceFile }[] = [];
  for (const path of await listFiles(source.directory)) {
    const name = path.toString();
    if (!entries.has(name.split('/', 1)[0]!)) continue;
    const digest = await digestFile(joinBytes(Buffer.from(source.directory), path), signal);
    files.push({ path, file: { path: name, ...digest } });
  }
  return files;
}

/** Returns the digests of all regular files below `directory`, under `prefix` (empty for none). */
export async function digestTree(directory: string, prefix: string): Promise<Digest[]> {
  const digests: Digest[] = [];
  for (const path of await listFiles(directory)) {
    const { sha256 } = await digestFile(joinBytes(Buffer.from(directory), path));
    digests.push({ path: prefix === '' ? path : joinBytes(Buffer.from(prefix), path), sha256 });
  }
  return digests;
}
