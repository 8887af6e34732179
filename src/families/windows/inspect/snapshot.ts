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
  /** By the path where FIX finds it; null if there is none that it can reach. */
  boot_store: CapturedHive | null;
  /** Paths that exist, directories with a slash at the end; sorted. */
  names: string[];
  /** SHA-256 of virtio's drivers among them, by path. */
  digests: Record<string, string>;
}

/** Writes the snapshot durably. Returns its SHA-256. Not readable by others, as it is of the guest. */
export async function writeWindowsSnapshot(file: string, snapshot: WindowsSnapshot): Promise<string> {
  const text = canonicalJson(snapshot);
  await writeDurable(file, text, 0o600);
  return sha256(text);
}

/** Reads a snapshot: of files it has the names, of some their digests. */
export async function readWindowsSnapshot(file: string): Promise<Configuration> {
  const snapshot = JSON.parse(await readFile(file, 'utf8')) as WindowsSnapshot;
  const { names, digests, system, software, boot_store } = snapshot;
  const all = [...new Set(names.flatMap(directoriesAbove)), ...names];
  const registry = [system, software, ...(boot_store === null ? [] : [boot_store])];
  return { tree: new GuestTree(all.map((name) => entryOf(name, digests))), registry };
}

/** `/Windows/`, `/Windows/System32/` of `/Windows/System32/drivers/`. */
function directoriesAbove(name: string): string[] {
  const parts = name.replace(/\/$/, '').split('/').slice(1, -1);
  return parts.map((_, index) => `/${parts.slice(0, index + 1).join('/')}/`);
}

function entryOf(name: string, digests: WindowsSnapshot['digests']): TreeEntry {
  const isDirectory = name.endsWith('/');
  const sha256 = Object.hasOwn(digests, name) ? digests[name] : undefined;
  return {
    ...(sha256 === undefined ? {} : { sha256 }),
    path: isDirectory ? name.slice(0, -1) : name,
    type: isDirectory ? 'directory' : 'file',
    mode: isDirectory ? 0o755 : 0o644,
    ...{ uid: 0, gid: 0, size: 0 },
  };
}
