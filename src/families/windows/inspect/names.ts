import type { GuestReader } from '../../../access/guest-reader.js';
import { configurationTooLarge } from '../../../access/snapshot-collector.js';
import type { WindowsPaths } from './paths.js';

/** Directories whose names the planner needs; the first is that of Windows. */
const DIRECTORIES = [
  '/System32/drivers',
  '/Drivers',
  '/Drivers/VirtIO',
  '/System32/CodeIntegrity',
  '/System32/CodeIntegrity/CiPolicies/Active',
] as const;
const OUTSIDE = ['/Program Files', '/Program Files/hyper2kvm', '/Program Files/hyper2kvm/firstboot'];
const MAX_NAMES = 50_000;

/** Returns the paths in the directories that exist, as the guest spells them, sorted. */
export async function knownNames(
  reader: GuestReader,
  paths: WindowsPaths,
  systemRoot: string,
): Promise<string[]> {
  const names: string[] = [];
  for (const wanted of [...DIRECTORIES.map((path) => `${systemRoot}${path}`), ...OUTSIDE]) {
    const directory = await paths.find(wanted);
    if (directory === null || (await reader.stat(directory))?.type !== 'directory') continue;
    names.push(`${directory}/`, ...(await paths.list(directory)).map((name) => `${directory}/${name}`));
    if (names.length > MAX_NAMES) throw configurationTooLarge();
  }
  return withoutTwins(names);
}

/** A directory that was listed itself stands there as one. */
function withoutTwins(names: readonly string[]): string[] {
  const all = new Set(names);
  return [...all].filter((name) => !all.has(`${name}/`)).sort();
}
