import { MAX_DESCRIPTOR } from '../../../../disk/base/format.js';
import { referencedName } from '../../../../disk/base/names.js';
import { looksLikeDescriptor, parseDescriptor } from '../../../../disk/vmdk/descriptor.js';
import { parseVmx } from '../../../../disk/vmx.js';
import { Hyper2kvmError } from '../../../../errors/error.js';
import { printable } from '../../../../text/escape-terminal.js';
import type { RemoteFile } from '../base/transport.js';
import { openSshFile, type SshFile } from './ssh-file.js';
import type { SshSession } from './ssh-session.js';

/** The longest chain of snapshots that ESXi makes is 32. */
const MOST_FILES = 10_000;

/**
 * Returns the files of a VM: its .vmx, and of each disk the descriptors and extents of its whole chain, in whichever
 * datastores they are. Errors: `remote.unsupported-disk`, `fetch.*` of the parsers, those of the session.
 */
export async function vmFiles(session: SshSession, vmx: string, signal: AbortSignal): Promise<SshFile[]> {
  const files = new Map<string, SshFile>();
  const add = async (path: string) => {
    const file = await openSshFile(session, path, signal);
    const other = files.get(file.name);
    if (other !== undefined && other.path !== file.path)
      throw new Hyper2kvmError(
        'remote.unsupported-disk',
        `two files of the VM have the same name: ${printable(other.path)} and ${printable(file.path)}`,
        {
          advice:
            'Move one of the disks to a datastore under another name, or export the VM as OVF and drop that.',
        },
      );
    if (files.size >= MOST_FILES)
      throw new Hyper2kvmError('remote.unsupported-disk', `the VM has more than ${MOST_FILES} files`);
    files.set(file.name, file);
    return file;
  };
  const description = await add(vmx);
  const { disks } = parseVmx(await contentOf(description, signal));
  const waiting = disks.flatMap(({ file }) => (file === null ? [] : [besides(vmx, file)]));
  const seen = new Set<string>();
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (seen.has(path)) continue;
    seen.add(path);
    const disk = await add(path);
    // Anything larger is a disk with its descriptor inside.
    if (disk.size > MAX_DESCRIPTOR) continue;
    const bytes = await contentOf(disk, signal);
    if (!looksLikeDescriptor(bytes)) continue;
    const { extents, parentHint } = parseDescriptor(bytes);
    for (const name of new Set(extents.map((extent) => extent.name))) await add(besides(path, name));
    if (parentHint !== null) waiting.push(besides(path, parentHint));
  }
  return [...files.values()];
}

/** Resolves a reference of a file on the host. */
function besides(referrer: string, reference: string): string {
  referencedName(reference, referrer);
  return reference.startsWith('/')
    ? reference
    : `${referrer.slice(0, referrer.lastIndexOf('/'))}/${reference}`;
}

async function contentOf(file: RemoteFile, signal: AbortSignal): Promise<Buffer> {
  if (file.size > MAX_DESCRIPTOR)
    throw new Hyper2kvmError('remote.unsupported-disk', `${file.origin} is larger than 1 MiB`);
  const chunks: Buffer[] = [];
  for await (const chunk of file.read(null, signal)) chunks.push(chunk);
  return Buffer.concat(chunks);
}
