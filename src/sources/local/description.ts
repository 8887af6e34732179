import { withBytes } from '../../disk/file-source.js';
import { parseOvf } from '../../disk/ovf/ovf.js';
import { parseVmsd } from '../../disk/vmsd.js';
import { parseVmx } from '../../disk/vmx.js';
import { Hyper2kvmError } from '../../errors/error.js';
import type { Description } from '../../model/description.js';
import { printable } from '../../text/printable.js';
import type { Inventory } from './inventory.js';

/** A description and the name of its file. */
export interface FoundDescription extends Description {
  file: string;
}

const MAX_TEXT = 4 * 1024 * 1024;

/** Returns the drop's .vmx, else its .ovf. Two of a kind are two VMs: `fetch.several-vms`. */
export async function readDescription(inventory: Inventory): Promise<FoundDescription | null> {
  const vmx = await readText(inventory, /\.vmx$/i);
  if (vmx !== null) return { ...parseVmx(vmx.bytes.toString('utf8')), file: vmx.name };
  const ovf = await readText(inventory, /\.ovf$/i);
  return ovf === null ? null : { ...parseOvf(ovf.bytes), file: ovf.name };
}

/** Returns the disks that the drop's .vmsd says are frozen in a snapshot; none without one. */
export async function readFrozen(inventory: Inventory): Promise<string[]> {
  const vmsd = await readText(inventory, /\.vmsd$/i);
  return vmsd === null ? [] : parseVmsd(vmsd.bytes.toString('utf8'));
}

/** Returns the only file of that kind, null where there is none. Rejects with `fetch.several-vms`, `fetch.corrupt`. */
export async function readText(
  inventory: Inventory,
  pattern: RegExp,
): Promise<{ name: string; bytes: Buffer } | null> {
  const [file, other] = inventory.images.filter(({ name }) => pattern.test(name));
  if (file === undefined) return null;
  if (other !== undefined) {
    throw new Hyper2kvmError(
      'fetch.several-vms',
      `the drop has ${printable(file.name)} and ${printable(other.name)}`,
      {
        advice: 'Drop one directory for each VM.',
      },
    );
  }
  if (file.size > MAX_TEXT)
    throw new Hyper2kvmError('fetch.corrupt', `${printable(file.name)} is larger than 4 MiB`, {
      advice: 'No real one is: copy it again, or leave it out.',
    });
  return {
    name: file.name,
    bytes: await withBytes(file.bytes, inventory.places, (source) => source.read(0, source.size)),
  };
}
