import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '#hyper2kvm/tools/run.js';

/** VMware's disk forms as qemu-img writes them, by the name of its `subformat`. */
const VMDK_SUBFORMATS = [
  'monolithicSparse',
  'streamOptimized',
  'monolithicFlat',
  'twoGbMaxExtentSparse',
  'twoGbMaxExtentFlat',
] as const;
export const DISK_FORMS = [...VMDK_SUBFORMATS, 'vmdk-chain', 'qcow2', 'raw'] as const;
export type DiskForm = (typeof DISK_FORMS)[number];

/** A change in a snapshot delta: `pattern` (a byte) over `length` bytes from `offset`. */
export interface DeltaWrite {
  offset: number;
  length: number;
  pattern: number;
}

/**
 * Writes the raw `image` in `form` into `directory` under the base name `name`. Returns the file to open: the
 * descriptor of a split disk, the newest delta of a chain. A chain is `<name>.vmdk`, `<name>-000001.vmdk`, …
 * with one delta for each entry of `deltas`; the guest of the newest is `image` with all of them applied.
 */
export async function formOf(
  image: string,
  form: DiskForm,
  directory: string,
  options: { name?: string; deltas?: readonly (readonly DeltaWrite[])[] } = {},
): Promise<string> {
  const name = options.name ?? 'disk';
  await mkdir(directory, { recursive: true });
  if (form === 'raw' || form === 'qcow2') {
    const file = join(directory, `${name}.${form === 'raw' ? 'img' : 'qcow2'}`);
    await run('qemu-img', ['convert', '-f', 'raw', '-O', form, image, file]);
    return file;
  }
  const file = join(directory, `${name}.vmdk`);
  const subformat = form === 'vmdk-chain' ? 'monolithicSparse' : form;
  await run('qemu-img', ['convert', '-f', 'raw', '-O', 'vmdk', '-o', `subformat=${subformat}`, image, file]);
  if (form !== 'vmdk-chain') return file;
  return addDeltas(directory, name, options.deltas ?? DEFAULT_DELTAS);
}

/**
 * In the gap between the MBR's core image and the first partition: changes what is read, not what the guest
 * does.
 */
const DEFAULT_DELTAS: readonly (readonly DeltaWrite[])[] = [
  [{ offset: 960 * 1024, length: 4096, pattern: 0x11 }],
  [{ offset: 964 * 1024, length: 4096, pattern: 0x22 }],
];

async function addDeltas(
  directory: string,
  name: string,
  deltas: readonly (readonly DeltaWrite[])[],
): Promise<string> {
  let parent = `${name}.vmdk`;
  for (const [index, writes] of deltas.entries()) {
    const delta = `${name}-${String(index + 1).padStart(6, '0')}.vmdk`;
    // Relative names, as VMware writes them: a chain is moved as a whole.
    await run('qemu-img', ['create', '-q', '-f', 'vmdk', '-b', parent, '-F', 'vmdk', delta], {
      cwd: directory,
    });
    const commands = writes.flatMap(({ pattern, offset, length }) => [
      '-c',
      `write -P ${pattern} ${offset} ${length}`,
    ]);
    await run('qemu-io', ['-f', 'vmdk', ...commands, delta], { cwd: directory });
    parent = delta;
  }
  return join(directory, parent);
}
