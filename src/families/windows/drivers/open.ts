import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { exists } from '../../../files/exists.js';
import { unpackIso } from './iso.js';
import { folderPlace } from './layout.js';
import { invalid, listTree, type TreeFile, unreadable } from './tree.js';

/** What `windows.virtio_win` names. */
export interface VirtioWin {
  form: 'iso' | 'directory';
  files: TreeFile[];
}

/** In the tree of older RPMs, beside nothing else that is of use. */
const NESTED_ISO = 'virtio-win.iso';

/**
 * Returns the files of the operator's virtio-win: an ISO, a directory with its content, or the tree of the
 * RPM (/usr/share/virtio-win). Throws `windows.virtio-win-unreadable`, `windows.virtio-win-invalid` and
 * `windows.unpacker-missing`.
 */
export async function openVirtioWin(path: string, cache: string, signal: AbortSignal): Promise<VirtioWin> {
  const stats = await stat(path).catch((error: unknown) => {
    throw unreadable(path, error);
  });
  if (stats.isFile()) return withDrivers(path, 'iso', await unpackIso(path, cache, signal));
  if (!stats.isDirectory()) throw invalid(path, 'it is neither a file nor a directory');
  const files = await listTree(path, signal);
  const iso = join(path, NESTED_ISO);
  if (!hasDrivers(files) && (await exists(iso)))
    return withDrivers(iso, 'iso', await unpackIso(iso, cache, signal));
  return withDrivers(path, 'directory', files);
}

function withDrivers(path: string, form: VirtioWin['form'], files: TreeFile[]): VirtioWin {
  if (!hasDrivers(files)) throw invalid(path, 'it has no folder with drivers, such as viostor/w10/amd64');
  return { form, files };
}

const hasDrivers = (files: readonly TreeFile[]): boolean =>
  files.some(({ path }) => folderPlace(path) !== null && path.toLowerCase().endsWith('.inf'));
