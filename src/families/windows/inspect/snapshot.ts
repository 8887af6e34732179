import { readFile } from 'node:fs/promises';
import { writeDurable } from '../../../files/durable.js';
import { GuestTree } from '../../../guest/tree.js';
import { canonicalJson, sha256 } from '../../../text/canonical-json.js';

/** A value of a hive; `data` in hexadecimal. */
interface CapturedValue {
  name: string;
  type: number;
  data: string;
}

/** A key of a hive with those of its values that were captured, by name. `path` counts from the hive's root. */
export interface CapturedKey {
  path: string;
  values: CapturedValue[];
}

/** What of a hive the planner sees. */
interface CapturedHive {
  /** The file in the guest. */
  path: string;
  /** What its logs added when it was read; null if it was closed. */
  recovered: { log: 'dirty pages' | 'entries'; pages: number; bytes: number } | null;
  /** By path. A key that is not here does not exist, if its place is in what-to-capture.ts. */
  keys: CapturedKey[];
}

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

/** Reads the files of a snapshot as a tree: names alone. */
export async function readWindowsTree(file: string): Promise<GuestTree> {
  const { names } = JSON.parse(await readFile(file, 'utf8')) as WindowsSnapshot;
  return new GuestTree(
    names.map((name) => {
      const isDirectory = name.endsWith('/');
      return {
        path: isDirectory ? name.slice(0, -1) : name,
        type: isDirectory ? 'directory' : 'file',
        mode: isDirectory ? 0o755 : 0o644,
        ...{ uid: 0, gid: 0, size: 0 },
      };
    }),
  );
}
