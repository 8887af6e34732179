import type { DropFile } from '../../disk/assemble.js';
import { NameIndex } from '../../disk/base/names.js';
import { innerName } from '../../disk/compression.js';
import { withBytes } from '../../disk/file-source.js';
import { type HyperVConfiguration, parseHyperVXml, parseVmcx } from '../../disk/hyperv/configuration.js';
import { type OvfOptions, parseOvf } from '../../disk/ovf/ovf.js';
import { inFile } from '../../disk/read-image.js';
import { parseVagrant } from '../../disk/vagrant.js';
import { parseMachine } from '../../disk/virtualbox/machine.js';
import { parseVbox } from '../../disk/virtualbox/vbox.js';
import { PROXMOX_CONFIGURATION, parseProxmox } from '../../disk/vma/configuration.js';
import { parseVmsd } from '../../disk/vmsd.js';
import { parseVmx } from '../../disk/vmx.js';
import { parseXva, XVA_DESCRIPTION } from '../../disk/xva/description.js';
import { Hyper2kvmError } from '../../errors/error.js';
import type { Description } from '../../model/description.js';
import type { Hardware } from '../../model/hardware.js';
import { printable } from '../../text/escape-terminal.js';
import { MANIFEST, OVF, VAGRANT, VBOX, VMCX, VMSD, VMX, XML } from './description-names.js';
import type { Inventory } from './inventory.js';

/** A description and the name of its file. */
export interface FoundDescription extends Description {
  file: string;
}

const MAX_TEXT = 4 * 1024 * 1024;

/**
 * Returns the drop's .vmx, otherwise its .ovf as selected by `options`, otherwise what the other hypervisors' files
 * say of the VM, otherwise a Vagrant box's metadata. Two of a kind mean two VMs: rejects with `fetch.several-vms`, and with the
 * parsers' errors.
 */
export async function readDescription(
  inventory: Inventory,
  options: OvfOptions,
): Promise<FoundDescription | null> {
  const vmx = await readOnly(inventory, VMX);
  if (vmx !== null) return { ...parseVmx(vmx.bytes), file: vmx.name };
  const ovf = await readOnly(inventory, OVF);
  if (ovf !== null) return { ...parseOvf(ovf.bytes, options), file: ovf.name };
  const vbox = await readVirtualBox(inventory);
  if (vbox !== null) return vbox;
  const proxmox = inventory.members.find(({ name }) => name === PROXMOX_CONFIGURATION);
  if (proxmox !== undefined) {
    const { name, bytes } = await readText(inventory, proxmox);
    return { ...parseProxmox(bytes, new Set(inventory.members.map((file) => file.name))), file: name };
  }
  // Only what an XVA was taken apart to has one without a folder; others are any program's.
  const xen = inventory.members.find(({ name }) => name === XVA_DESCRIPTION);
  if (xen !== undefined && inventory.members.some(({ isDisk }) => isDisk)) {
    const { name, bytes } = await readText(inventory, xen);
    return { ...parseXva(bytes).description, file: name };
  }
  const hyperV = await readHyperV(inventory);
  if (hyperV !== null) return hyperV;
  const box = inventory.members.find(({ name, size }) => VAGRANT.test(name) && size <= MAX_TEXT);
  const vagrant = box === undefined ? null : parseVagrant((await readText(inventory, box)).bytes);
  return vagrant === null ? null : { ...vagrant, file: box!.name };
}

/**
 * Returns VirtualBox' description of the VM. One whose disks are not all there, as where the snapshots were left
 * behind, has none: then what it says of frozen disks counts.
 */
async function readVirtualBox(inventory: Inventory): Promise<FoundDescription | null> {
  const vbox = await readOnly(inventory, VBOX);
  if (vbox === null) return null;
  const description = ofFile(vbox, parseMachine);
  if (description === null) return null;
  const names = new NameIndex(inventory.members.map(({ name }) => innerName(name)));
  const isWhole = description.disks.every(({ file }) => names.find(file!, vbox.name) !== null);
  return { ...description, disks: isWhole ? description.disks : [], file: vbox.name };
}

/** Parses a file; its name begins the message of a refusal. */
function ofFile<Result>({ name, bytes }: TextFile, parse: (bytes: Buffer) => Result): Result {
  try {
    return parse(bytes);
  } catch (error) {
    throw error instanceof Hyper2kvmError ? inFile(name, error) : error;
  }
}

/** Of all .xml files, no more are looked into. */
const MAX_XML = 16;

/**
 * Returns Hyper-V's configuration of the VM, not those of its checkpoints. One that cannot be read is only a
 * warning, for the disks tell enough.
 */
async function readHyperV(inventory: Inventory): Promise<FoundDescription | null> {
  const small = inventory.members.filter(({ size }) => size <= MAX_TEXT);
  const binary = small.filter(({ name }) => VMCX.test(name));
  const xml = small.filter(({ name }) => XML.test(name)).slice(0, MAX_XML);
  const unread: { file: string; message: string }[] = [];
  const found: { file: string; configuration: HyperVConfiguration }[] = [];
  for (const file of binary.length > 0 ? binary : xml) {
    const { name, bytes } = await readText(inventory, file);
    try {
      const configuration = VMCX.test(name) ? parseVmcx(bytes) : parseHyperVXml(bytes);
      if (configuration !== null && !configuration.isCheckpoint) found.push({ file: name, configuration });
    } catch (error) {
      if (!(error instanceof Hyper2kvmError)) throw error;
      // Any other XML may be any program's.
      if (VMCX.test(name) || OF_HYPER_V.test(name))
        unread.push({ file: name, message: inFile(name, error).message });
    }
  }
  const [only, other] = notOfSnapshots(found);
  if (other !== undefined) throw severalVms(only!.file, other.file);
  if (only !== undefined) {
    const { isCheckpoint: _isCheckpoint, ...description } = only.configuration;
    return { ...description, file: only.file };
  }
  const [first] = unread;
  if (first === undefined) return null;
  const warnings = unread.map(({ message }) => message);
  return { hardware: UNKNOWN, disks: [], files: [], warnings, file: first.file };
}

const OF_HYPER_V = /(?:^|\/)Virtual Machines\//i;

/** An export has the checkpoints' configurations in a folder beside that of the VM. */
function notOfSnapshots<Found extends { file: string }>(found: readonly Found[]): Found[] {
  const own = found.filter(({ file }) => !/(?:^|\/)Snapshots\//i.test(file));
  return own.length > 0 ? own : [...found];
}

/** The hardware of a VM without a description. */
export const UNKNOWN: Hardware = {
  name: null,
  memory_mib: null,
  vcpus: null,
  firmware: null,
  nics: [],
  os_hint: null,
};

/** Returns the disks that are frozen in a snapshot according to the drop's .vmsd or .vbox; none without one. */
export async function readFrozen(inventory: Inventory): Promise<string[]> {
  const vmsd = await readOnly(inventory, VMSD);
  const vbox = await readOnly(inventory, VBOX);
  return [...(vmsd === null ? [] : parseVmsd(vmsd.bytes)), ...(vbox === null ? [] : ofFile(vbox, parseVbox))];
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
  if (other !== undefined) throw severalVms(file.name, other.name);
  return readText(inventory, file);
}

function severalVms(one: string, other: string): Hyper2kvmError {
  return new Hyper2kvmError('fetch.several-vms', `the drop has ${printable(one)} and ${printable(other)}`);
}

async function readText({ places }: Inventory, { name, size, bytes }: DropFile): Promise<TextFile> {
  if (size > MAX_TEXT)
    throw new Hyper2kvmError('fetch.corrupt', `${printable(name)} is larger than 4 MiB`, {
      advice: 'Real ones are much smaller: copy it again, or leave it out.',
    });
  return { name, bytes: await withBytes(bytes, places, (source) => source.read(0, source.size)) };
}
