import { createHash } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Hyper2kvmError } from '../../errors/error.js';
import { readSmallFile } from '../../files/small-file.js';
import type { HostProgram } from '../base/host-files.js';

/** The names become part of a command line. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const MAX_SCRIPTS = 100;
const MAX_BYTES = 1024 * 1024;

/** Returns the batch files of a directory, by name; none without one. Throws `windows.first-boot-steps`. */
export async function firstBootScripts(directory: string): Promise<HostProgram[]> {
  if (directory === '') return [];
  try {
    const names = (await readdir(directory)).filter((name) => /\.cmd$/i.test(name)).sort();
    if (names.length > MAX_SCRIPTS) throw new Error(`it has more than ${MAX_SCRIPTS} of them`);
    const odd = names.find((name) => !NAME.test(name));
    if (odd !== undefined)
      throw new Error(`${JSON.stringify(odd)} has other characters than letters, digits and "._-"`);
    const scripts: HostProgram[] = [];
    for (const name of names) {
      const source = join(directory, name);
      const content = await readSmallFile(source, MAX_BYTES);
      scripts.push({
        source,
        size: content.length,
        sha256: createHash('sha256').update(content).digest('hex'),
      });
    }
    return scripts;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Hyper2kvmError(
      'windows.first-boot-steps',
      `windows.first_boot_steps: the batch files of ${directory} cannot be used: ${reason}`,
      { cause },
    );
  }
}
