import { withImage } from '../../disk/file-source.js';
import type { Inventory } from '../../disk/inventory.js';
import { parseManifest, verifyDigest } from '../../disk/ovf/manifest.js';
import { parseOvf } from '../../disk/ovf/ovf.js';
import { parseVmsd } from '../../disk/vmsd.js';
import { parseVmx } from '../../disk/vmx.js';
import type { StageContext } from '../../engine/stage.js';
import { Hyper2kvmError } from '../../errors/error.js';
import type { Description } from '../../model/description.js';
import { printable } from '../../text/escape-terminal.js';

/** A description and the name of the file that it is in. */
export type FoundDescription = Description & { file: string };

const MAX_TEXT = 4 * 1024 * 1024;

/** The drop's .vmx, else its .ovf. Two of a kind are two VMs: `fetch.several-vms`. */
export async function readDescription(inventory: Inventory): Promise<FoundDescription | null> {
  const vmx = await readText(inventory, /\.vmx$/i);
  if (vmx !== null) return { ...parseVmx(vmx.bytes.toString('utf8')), file: vmx.name };
  const ovf = await readText(inventory, /\.ovf$/i);
  return ovf === null ? null : { ...parseOvf(ovf.bytes), file: ovf.name };
}

/** The disks that the drop's .vmsd says are frozen in a snapshot; empty without one. */
export async function readFrozen(inventory: Inventory): Promise<string[]> {
  const vmsd = await readText(inventory, /\.vmsd$/i);
  return vmsd === null ? [] : parseVmsd(vmsd.bytes.toString('utf8'));
}

/** Checks every file that the manifest lists and that is there. Reads them whole. Rejects with `fetch.digest-mismatch`. */
export async function verifyManifest(inventory: Inventory, context: StageContext): Promise<void> {
  const manifest = await readText(inventory, /\.mf$/i);
  if (manifest === null) return;
  const files = new Map(
    inventory.images.map((image) => image.packed ?? image).map((file) => [file.name, file]),
  );
  const lines = parseManifest(manifest.bytes.toString('utf8')).flatMap((line) => {
    const file = files.get(line.name);
    return file === undefined ? [] : [{ line, file }];
  });
  const total = lines.reduce((sum, { file }) => sum + file.size, 0);
  let done = 0;
  for (const { line, file } of lines) {
    await withImage(inventory.directory, file, (source) =>
      verifyDigest(source, line, context.signal, (bytes) => {
        done += bytes;
        context.account({ read: bytes });
        context.progress({ percent: Math.min(99, (100 * done) / total), step: 'verifying the manifest' });
      }),
    );
  }
  const certificate = inventory.images.some(({ name }) => /\.cert$/i.test(name));
  context.log.info({ files: lines.length, certificate }, 'manifest verified');
}

async function readText(
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
    bytes: await withImage(inventory.directory, file, (source) => source.read(0, source.size)),
  };
}
