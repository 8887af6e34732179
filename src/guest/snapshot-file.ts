import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { writeDurable } from '../files/durable.js';
import { eachInTurns } from '../host/turns.js';
import { GuestTree, type TreeEntry } from './tree.js';

interface StoredEntry extends Omit<TreeEntry, 'content'> {
  /** Base64. */
  content?: string;
}

/**
 * Writes the tree durably as JSON, sorted by path: the same guest gives the same bytes. Returns the SHA-256
 * of the file.
 */
export async function writeSnapshot(file: string, tree: GuestTree): Promise<string> {
  const hash = createHash('sha256');
  const pieces: Buffer[] = [];
  const put = (text: string) => {
    const bytes = Buffer.from(text);
    hash.update(bytes);
    pieces.push(bytes);
  };
  let separator = '[';
  // Entry by entry: all 48 MiB at once would block the daemon.
  await eachInTurns(tree.entries(), ({ content, ...entry }) => {
    const stored: StoredEntry = {
      ...entry,
      ...(content === undefined ? {} : { content: content.toString('base64') }),
    };
    put(`${separator}${JSON.stringify(stored)}`);
    separator = ',';
  });
  put(separator === '[' ? '[]' : ']');
  // Not readable by others, because it contains the guest's /etc/shadow.
  await writeDurable(file, Buffer.concat(pieces), 0o600);
  return hash.digest('hex');
}

export async function readSnapshot(file: string): Promise<GuestTree> {
  const stored = JSON.parse(await readFile(file, 'utf8')) as StoredEntry[];
  return new GuestTree(
    stored.map(({ content, ...entry }) => ({
      ...entry,
      ...(content === undefined ? {} : { content: Buffer.from(content, 'base64') }),
    })),
  );
}
