import type { DropFile } from '../../disk/assemble.js';
import { withBytes } from '../../disk/file-source.js';
import { type OvfOptions, parseOvf } from '../../disk/ovf/ovf.js';
import { inFile } from '../../disk/read-image.js';
import { parseVagrant } from '../../disk/vagrant.js';
import { parseVbox } from '../../disk/virtualbox/vbox.js';
import { parseVmsd } from '../../disk/vmsd.js';
import { parseVmx } from '../../disk/vmx.js';
import { Hyper2kvmError } from '../../errors/error.js';
import type { Description } from '../../model/description.js';
import { printable } from '../../text/escape-terminal.js';
import { MANIFEST, OVF, VAGRANT, VBOX, VMSD, VMX } from './description-names.js';
import type { Inventory } from './inventory.js';

/** A description and the name of its file. */
export interface FoundDescription extends Description {
  file: string;
}

const MAX_TEXT = 4 * 1024 * 1024;
/**
 * Returns the drop's .vmx, otherwise its .ovf as selected by `options`, otherwise a Vagrant box's metadata. Two of a kind mean two VMs: rejects
 * with `fetch.several-vms`, and with the parsers' errors.
 */
export async function readDescription(
  inventory: Inventory,
  options: OvfOptions,
): Promise<FoundDescription | null> {
  const vmx = await readOnly(inventory, VMX);
  if (vmx !== null) return { ...parseVmx(vmx.bytes), file: vmx.name };
  const ovf = await readOnly(inventory, OVF);
  if (ovf !== null) return { ...parseOvf(ovf.bytes, options), file: ovf.name };
  const box = inventory.members.find(({ name, size }) => VAGRANT.test(name) && size <= MAX_TEXT);
  const vagrant = box === undefined ? null : parseVagrant((await readText(inventory, box)).bytes);
  return vagrant === null ? null : { ...vagrant, file: box!.name };
}

/** Returns the disks that are frozen in a snapshot according to the drop's .vmsd or .vbox; none without one. */
export async function readFrozen(inventory: Inventory): Promise<string[]> {
  const vmsd = await readOnly(inventory, VMSD);
  const vbox = await readOnly(inventory, VBOX);
  return [...(vmsd === null ? [] : parseVmsd(vmsd.bytes)), ...(vbox === null ? [] : frozenIn(vbox))];
}

function frozenIn({ name, bytes }: TextFile): string[] {
  try {
    return parseVbox(bytes);
  } catch (error) {
    throw error instanceof Hyper2kvmError ? inFile(name, error) : error;
  }
}

/** Returns the files with the memory of a VM that was suspended and not shut down, by their names. */
export function suspendedStates({ members }: Inventory): string[] {
  return members.map(({ name }) => name).filter((name) => /\.(?:vmss|sav)$/i.test(name));
}

/** Returns the manifests, of which an export may have one for each disk. */
export function readManifests(inventory: Inventory): Promise<TextFile[]> {
  const files = inventory.members.filter(({ name }) => MANIFEST.test(name));
  return Promise.all(files.map((file) => readText(inventory, file)));
}

interface TextFile {
  name: string;
  bytes: Buffer;
}

/**
 * Returns the VM's file of that kind, or null. Files in a subdirectory count only if the VM's own directory
 * has none.
 */
async function readOnly(inventory: Inventory, pattern: RegExp): Promise<TextFile | null> {
  const all = inventory.members.filter(({ name }) => pattern.test(name));
  const own = all.filter(({ name }) => !name.includes('/'));
  const [file, other] = own.length > 0 ? own : all;
  if (file === undefined) return null;
  if (other !== undefined) {
    throw new Hyper2kvmError(
      'fetch.several-vms',
      `the drop has ${printable(file.name)} and ${printable(other.name)}`,
    );
  }
  return readText(inventory, file);
}

async function readText({ places }: Inventory, { name, size, bytes }: DropFile): Promise<TextFile> {
  if (size > MAX_TEXT)
    throw new Hyper2kvmError('fetch.corrupt', `${printable(name)} is larger than 4 MiB`, {
      advice: 'Real ones are much smaller: copy it again, or leave it out.',
    });
  return { name, bytes: await withBytes(bytes, places, (source) => source.read(0, source.size)) };
}
