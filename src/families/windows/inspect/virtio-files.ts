import { createHash } from 'node:crypto';
import type { GuestReader } from '../../../access/guest-reader.js';
import { Hyper2kvmError } from '../../../errors/error.js';
import { isPe, readPe } from '../../../guest/pe/image.js';
import { fileVersion } from '../../../guest/pe/version.js';
import type { Hive } from '../../../guest/registry/hive.js';
import type { VirtioDriver } from '../../../model/windows-identity.js';
import type { WindowsPaths } from './paths.js';

interface Windows {
  /** The directory of Windows. */
  systemRoot: string;
  system: Hive;
  /** `ControlSet001`. */
  set: string;
}

export interface VirtioFiles {
  /** Virtio's drivers that Windows has, with the files that its services name. */
  drivers: VirtioDriver[];
  /** SHA-256 of what an earlier conversion has copied, by path. */
  digests: Record<string, string>;
}

const SERVICES = ['viostor', 'vioscsi', 'netkvm'] as const;
const COPIED_TO = '/Drivers/VirtIO';
/** Real drivers have some hundred KiB, and the installer of the guest agent some MiB. */
const MAX_FILE_BYTES = 64 * 1024 ** 2;
const MAX_TOTAL_BYTES = 256 * 1024 ** 2;
const MAX_FILES = 300;

/**
 * Reads what the guest has of virtio's drivers, so that only what is missing or older is copied. In a guest that
 * never had any it reads nothing.
 */
export async function readVirtioFiles(
  reader: GuestReader,
  paths: WindowsPaths,
  windows: Windows,
): Promise<VirtioFiles> {
  const found: VirtioFiles = { drivers: [], digests: {} };
  let bytes = 0;
  let count = 0;
  /** Null for what is no file of a plausible size: it is then copied again. */
  const read = async (path: string): Promise<Buffer | null> => {
    const stat = await reader.lstat(path);
    if (stat?.type !== 'file' || stat.size > MAX_FILE_BYTES) return null;
    count += 1;
    bytes += stat.size;
    if (count > MAX_FILES || bytes > MAX_TOTAL_BYTES) return null;
    const content = await reader.read(path);
    found.digests[path] = createHash('sha256').update(content).digest('hex');
    return content;
  };
  for (const service of SERVICES) {
    const path = await driverPath(paths, windows, service);
    const content = path === null ? null : await read(path);
    if (path !== null && content !== null) found.drivers.push({ service, path, version: versionOf(content) });
  }
  const directory = await paths.find(`${windows.systemRoot}${COPIED_TO}`);
  for (const name of directory === null ? [] : await paths.list(directory))
    await read(`${directory}/${name}`);
  return found;
}

/** Returns the file that the service names; null without a service or file, or for a path of another form. */
async function driverPath(
  paths: WindowsPaths,
  { systemRoot, system, set }: Windows,
  service: string,
): Promise<string | null> {
  const key = system.key(`${set}\\Services\\${service}`);
  if (key === null) return null;
  const image = key.text('ImagePath') ?? '';
  const below = /^(?:\\SystemRoot\\|%SystemRoot%\\|\\\?\?\\[a-z]:\\Windows\\)?(System32\\[^:]*)$/i.exec(
    image,
  )?.[1];
  if (below === undefined && image !== '') return null;
  const path = (below ?? `System32\\drivers\\${service}.sys`).replaceAll('\\', '/');
  return paths.find(`${systemRoot}/${path}`);
}

/** Null for what is no driver, or has no version. */
function versionOf(content: Buffer): string | null {
  if (!isPe(content)) return null;
  try {
    return readPe(content).machine === 'other' ? null : fileVersion(content);
  } catch (error) {
    if (error instanceof Hyper2kvmError && error.code === 'guest.pe-invalid') return null;
    throw error;
  }
}
