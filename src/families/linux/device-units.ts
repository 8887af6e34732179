import { posix } from 'node:path';
import { filesIn } from '../base/edit.js';
import type { Guest } from '../base/fixer.js';
import { namesInCrypttab } from './crypttab.js';
import { isSystemMountpoint } from './fstab.js';
import { mountOf, UNITS, unitTexts } from './inspect/mount-table.js';
import { iniValues } from './network/ini.js';
import { isNamed, namesOfLine } from './nofail.js';

/** Real guests have some hundreds at most. */
export const MAX_UNITS = 5_000;
/** A larger file is not a unit. */
export const MAX_UNIT_BYTES = 64 * 1024;

/** What a mount or swap unit says with its drop-ins; null for every other path. */
export function deviceUnit(path: string, { tree }: Guest) {
  const section = path.endsWith('.mount') ? 'Mount' : path.endsWith('.swap') ? 'Swap' : null;
  if (section === null) return null;
  const texts = unitTexts(tree, path).filter((text) => text.length <= MAX_UNIT_BYTES);
  const last = (key: string) => texts.flatMap((text) => iniValues(text, section, key)).at(-1) ?? '';
  const [mount] = section === 'Mount' ? mountOf(texts) : [];
  return { path, mount, spec: last('What'), options: last('Options').split(',') };
}

/**
 * Returns the paths of the units that fix.nofail names. A name that was cut on a console counts if only one unit can be
 * meant.
 */
export function excusedUnits(guest: Guest): string[] {
  const { tree, options } = guest;
  if (options.nofail.length === 0) return [];
  const units = filesIn(tree, UNITS, /\.(mount|swap)$/)
    .slice(0, MAX_UNITS)
    .flatMap((path) => deviceUnit(path, guest) ?? [])
    .filter(({ mount }) => mount === undefined || !isSystemMountpoint(mount.mountpoint));
  const names = options.nofail.flatMap((name) => [name, ...namesInCrypttab(tree, name)]);
  return names.flatMap((name) => {
    const found = units.filter(({ path, mount, spec }) => {
      const line = { spec, mountpoint: mount?.mountpoint ?? '', type: mount?.type ?? 'swap' };
      return isNamed(name, [posix.basename(path), ...namesOfLine(line)]);
    });
    return found.length === 1 ? found.map(({ path }) => path) : [];
  });
}
