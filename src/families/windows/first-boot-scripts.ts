import { createHash } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Hyper2kvmError } from '../../errors/error.js';
import { readSmallFile } from '../../files/small-file.js';
import { upperCase } from '../../guest/registry/names.js';
import type { HostProgram } from '../base/host-files.js';

/** The names become part of a command line, where `%` and quotes have a meaning. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$/;
/** What Windows takes for a device, whatever comes behind the dot. */
const DEVICE = /^(?:con|prn|aux|nul|com[0-9]|lpt[0-9]) *\./i;
const MAX_SCRIPTS = 100;
const MAX_BYTES = 1024 * 1024;

/**
 * Returns the batch files (*.cmd) of the operator's directory in the order of their names, which to Windows are the
 * same in any case; none without a directory. Throws `windows.first-boot-steps`.
 */
export async function firstBootScripts(directory: string): Promise<HostProgram[]> {
  if (directory === '') return [];
  try {
    const names = (await readdir(directory)).filter((name) => /\.cmd$/i.test(name));
    const ordered = orderedNames(names);
    const scripts: HostProgram[] = [];
    for (const name of ordered) scripts.push(await readScript(directory, name));
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

function orderedNames(names: readonly string[]): string[] {
  if (names.length > MAX_SCRIPTS) throw new Error(`there are more than ${MAX_SCRIPTS}`);
  const byName = new Map<string, string>();
  for (const name of names) {
    const quoted = JSON.stringify(name);
    if (!NAME.test(name))
      throw new Error(
        `the name ${quoted} must begin with a letter or digit, have only letters (A to Z), digits, spaces and "._-", and at most 64 characters`,
      );
    if (DEVICE.test(name)) throw new Error(`${quoted} is the name of a device to Windows`);
    const twin = byName.get(upperCase(name));
    if (twin !== undefined)
      throw new Error(`${JSON.stringify(twin)} and ${quoted} are the same name to Windows`);
    byName.set(upperCase(name), name);
  }
  return [...byName.keys()].sort().map((key) => byName.get(key) ?? key);
}

async function readScript(directory: string, name: string): Promise<HostProgram> {
  const source = join(directory, name);
  const content = await readSmallFile(source, MAX_BYTES).catch((cause: unknown) => {
    throw new Error(`${name}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  });
  return { source, size: content.length, sha256: createHash('sha256').update(content).digest('hex') };
}
