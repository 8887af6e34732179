import { join } from 'node:path';
import { withFile } from '../../disk/file-source.js';
import type { Inventory } from '../../disk/inventory.js';
import { printable } from '../../disk/names.js';
import { parseVmx, type Vmx } from '../../disk/vmx.js';
import { Hyper2kvmError } from '../../errors.js';

const MAX_VMX = 1024 * 1024;

/** The VM's .vmx where the drop has one. Two are two VMs: `fetch.several-vms`. */
export async function readVmx(inventory: Inventory): Promise<Vmx | null> {
  const found = inventory.images.filter(({ name }) => /\.vmx$/i.test(name));
  const [file, other] = found;
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
  if (file.size > MAX_VMX)
    throw new Hyper2kvmError('fetch.corrupt', `${printable(file.name)} is larger than 1 MiB`);
  const text = await withFile(join(inventory.directory, file.name), ({ source }) =>
    source.read(0, source.size),
  );
  return parseVmx(text.toString('utf8'));
}
