import { constants } from 'node:fs';
import { open, readdir } from 'node:fs/promises';
import { type DigestOptions, digestHandle } from './digest.js';

const SLASH = Buffer.from('/');

/**
 * Returns all regular files below `directory`, sorted by the bytes of their paths. Links and special files
 * are neither followed nor listed.
 */
export async function listFiles(directory: string, below: Buffer = Buffer.alloc(0)): Promise<Buffer[]> {
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
  options: DigestOptions = {},
): Promise<{ sha256: string; size: number }> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const digest = await digestHandle(file, options);
    await file.sync();
    return digest;
  } finally {
    await file.close();
  }
}

/** `path` is relative to the directory that was digested. */
export interface Digest {
  path: Buffer;
  sha256: string;
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
