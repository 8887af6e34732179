import { appendFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { formOf } from './forms.ts';
import type { BuiltGuest } from './guest.ts';
import { diskUuid, keyOf, membersOf } from './layout.ts';
import type { GuestRecipe } from './recipes.ts';
import { vmxText } from './vmx-text.ts';

/**
 * The guest's disks as VMDKs in the new directory `drop`, with a job.toml where there are keys to name, and
 * VMware's description where the guest's configuration means something by it only.
 */
export async function makeDrop({ recipe, images }: BuiltGuest, drop: string): Promise<string> {
  await mkdir(drop, { recursive: true });
  const isById = recipe.disks.some(({ partitions }) => partitions.some(({ namedBy }) => namedBy === 'by-id'));
  const form = isById ? 'monolithicFlat' : 'monolithicSparse';
  for (const [index, image] of images.entries()) {
    const file = await formOf(image, form, drop, { name: `disk${index}` });
    if (isById) await appendFile(file, `ddb.uuid = "${spaced(diskUuid(recipe, index))}"\n`);
  }
  if (isById || recipe.network.pin === 'slot')
    await writeFile(join(drop, `${recipe.name}.vmx`), vmxText(recipe));
  await writeKeys(recipe, drop);
  return drop;
}

/** As VMware writes a UUID: `60 00 c2 9… …-…`. */
function spaced(uuid: string): string {
  const bytes = uuid.match(/../g) ?? [];
  return `${bytes.slice(0, 8).join(' ')}-${bytes.slice(8).join(' ')}`;
}

/** A LUKS volume: the partition it is in, as the guest on VMware names it, and the file that has its key. */
export interface LuksKey {
  device: string;
  file: string;
  key: string;
}

export function luksKeys(recipe: GuestRecipe): LuksKey[] {
  return (recipe.volumes ?? [])
    .filter(({ kind }) => kind === 'luks')
    .map((volume) => ({
      device: membersOf(recipe, volume)[0] ?? '',
      file: `${volume.name}.key`,
      key: keyOf(recipe, volume),
    }));
}

/** A job.toml with the keys of the guest's LUKS volumes, as its owner would write it. */
export async function writeKeys(recipe: GuestRecipe, drop: string): Promise<void> {
  const keys = luksKeys(recipe);
  if (keys.length === 0) return;
  const entries = keys.map(
    ({ device, file }) => `[[guest.luks]]\ndevice = "${device}"\nkey_file = "${file}"\n`,
  );
  await writeFile(join(drop, 'job.toml'), entries.join('\n'));
  for (const { file, key } of keys) await writeFile(join(drop, file), key);
}
