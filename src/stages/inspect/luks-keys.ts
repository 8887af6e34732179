import { realpath } from 'node:fs/promises';
import { dirname, isAbsolute, join, sep } from 'node:path';
import type { Config } from '../../config/schema.js';
import type { StageContext } from '../../engine/stage.js';
import { isErrorCode } from '../../errors/errno.js';
import { Hyper2kvmError } from '../../errors/error.js';
import { readSmallFile } from '../../files/small-file.js';

/** A LUKS container that the job has a key for. */
export interface LuksKey {
  /** As in the job.toml: `/dev/sda3`, `UUID=…`. */
  device: string;
  keyFile: string;
  key: Buffer;
}

/**
 * The same limit as for a job.toml: real keys have a few KiB, and the key is passed to the appliance in a
 * command.
 */
const LARGEST_KEY_BYTES = 64 * 1024;

/**
 * Reads the key files of `[[guest.luks]]`. A relative name is searched for in the drop, beside the disks.
 * Throws `inspect.luks-key-unreadable`.
 */
export async function readKeys(
  entries: Config['guest']['luks'],
  source: StageContext['source'],
): Promise<LuksKey[]> {
  return Promise.all(
    entries.map(async ({ device, key_file }) => ({
      device,
      keyFile: key_file,
      key: await readKey(key_file, source),
    })),
  );
}

/** Reads one key file. Throws `inspect.luks-key-unreadable`. */
export async function readKey(file: string, { directory, entries }: StageContext['source']): Promise<Buffer> {
  const places = isAbsolute(file) ? [file] : ['', ...entries].map((entry) => join(directory, entry, file));
  let cause: unknown;
  for (const place of places) {
    try {
      if (!isAbsolute(file) && !(await isInside(directory, place))) continue;
      return await readSmallFile(place, LARGEST_KEY_BYTES);
    } catch (error) {
      // The error in the directory says more than that the file is not directly beside the disks.
      if (cause === undefined || !isErrorCode(error, 'ENOENT', 'ENOTDIR')) cause = error;
    }
  }
  throw new Hyper2kvmError('inspect.luks-key-unreadable', `the key file ${file} cannot be read`, {
    cause,
  });
}

/** False if a directory on the path is a link that leads out of the drop. */
async function isInside(directory: string, place: string): Promise<boolean> {
  const [root, parent] = await Promise.all([realpath(directory), realpath(dirname(place))]);
  return parent === root || parent.startsWith(root + sep);
}
