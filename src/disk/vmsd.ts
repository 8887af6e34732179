import { Hyper2kvmError } from '../errors/error.js';
import { referencedName } from './base/names.js';
import { decodeText } from './base/text.js';
import { VMWARE_ENCODING } from './vmx.js';

const MAX_LINES = 20_000;

/**
 * Returns the disks that are frozen in a snapshot according to VMware's snapshot list (`.vmsd`: `key =
 * "value"` lines, `snapshot0.disk0.fileName = "web01.vmdk"`), as plain names, sorted. The VM has not written
 * to any of them since: each must have a delta, and is not the disk's newest state. Names that lead elsewhere
 * are ignored; nothing is opened by these names. Empty without snapshots. Throws `fetch.corrupt`.
 */
export function parseVmsd(bytes: Buffer): string[] {
  const lines = decodeText(bytes, VMWARE_ENCODING).split(/\r?\n/);
  if (lines.length > MAX_LINES)
    throw new Hyper2kvmError('fetch.corrupt', 'the .vmsd has more than 20,000 lines', {
      advice: 'Leave it out, and add the VM’s .vmx instead.',
    });
  const names = new Set<string>();
  let snapshots = 0;
  for (const line of lines) {
    const match = /^\s*([A-Za-z0-9_.]+)\s*=\s*"([^"]*)"\s*$/.exec(line);
    if (match === null) continue;
    const [, key, value] = match as unknown as [string, string, string];
    if (/^snapshot\.numSnapshots$/i.test(key)) snapshots = Number(value);
    if (!/^snapshot\d+\.disk\d+\.fileName$/i.test(key)) continue;
    const name = plainName(value);
    if (name !== null) names.add(name);
  }
  return snapshots > 0 ? [...names].sort() : [];
}

function plainName(value: string): string | null {
  try {
    return referencedName(value, 'the .vmsd');
  } catch (error) {
    if (error instanceof Hyper2kvmError) return null;
    throw error;
  }
}
