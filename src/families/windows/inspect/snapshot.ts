import { readFile } from 'node:fs/promises';
import { writeDurable } from '../../../files/durable.js';
import type { CapturedHive } from '../../../guest/registry/captured.js';
import { GuestTree, type TreeEntry } from '../../../guest/tree.js';
import type { Configuration } from '../../../operations/operation.js';
import { canonicalJson, sha256 } from '../../../text/canonical-json.js';

/**
 * What INSPECT leaves of a Windows guest for PLAN: the part of its registry that what-to-capture.ts lists, and
 * names of files. The same guest gives the same bytes.
 */
export interface WindowsSnapshot {
  version: 1;
  system: CapturedHive;
  software: CapturedHive;
  /** Paths that exist, directories with a slash at the end; sorted. */
  names: string[];
}

/** Writes the snapshot durably. Returns its SHA-256. Not readable by others, as it is of the guest. */
export async function writeWindowsSnapshot(file: string, snapshot: WindowsSnapshot): Promise<string> {
  const text = canonicalJson(snapshot);
  await writeDurable(file, text, 0o600);
  return sha256(text);
}

/** Reads a snapshot: of files it has the names alone. */
export async function readWindowsSnapshot(file: string): Promise<Configuration> {
  const { names, system, software } = JSON.parse(await readFile(file, 'utf8')) as WindowsSnapshot;
  return { tree: new GuestTree(names.map(entryOf)), registry: [system, software] };
}

function entryOf(name: string): TreeEntry {
  const isDirectory = name.endsWith('/');
  return {
    path: isDirectory ? name.slice(0, -1) : name,
    type: isDirectory ? 'directory' : 'file',
    mode: isDirectory ? 0o755 : 0o644,
    ...{ uid: 0, gid: 0, size: 0 },
  };
}
