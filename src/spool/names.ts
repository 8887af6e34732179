import { pieceOf } from '../disk/base/pieces.js';
import { innerName } from '../disk/compression.js';
import { formatOfExtension } from '../disk/formats.js';

export function isHidden(name: string): boolean {
  return name.startsWith('.');
}

/**
 * Returns the name without `.job.toml`, otherwise without the number of a piece, its last extension and that
 * of a compression.
 */
export function stemOf(name: string): string {
  const plain = name.endsWith('.job.toml') ? name.slice(0, -'.job.toml'.length) : name;
  const [inner, packing] = splitExtension(pieceOf(plain)?.whole ?? plain);
  const isPacked = ['gz', 'xz', 'zst', 'lzo'].includes(packing);
  // A compression's extension counts only after another extension: `web01.gz` is not a disk in gzip.
  return isPacked ? splitExtension(inner)[0] : inner;
}

/**
 * Splits a name at the last dot if letters and digits follow it and something precedes it; otherwise the
 * extension is empty.
 */
function splitExtension(name: string): [stem: string, extension: string] {
  const dot = name.lastIndexOf('.');
  const extension = name.slice(dot + 1);
  return dot > 0 && /^[A-Za-z0-9]+$/.test(extension)
    ? [name.slice(0, dot), extension.toLowerCase()]
    : [name, ''];
}

/**
 * Returns what the pieces of one disk have in common: `web01` for `web01-s003.vmdk` and `web01-flat.vmdk`;
 * the stem of any other name.
 */
export function diskStem(name: string): string {
  return stemOf(name).replace(/-(s\d{3,}|f\d{3,}|flat|delta|sesparse|rdm|rdmp|ctk|cowd)$/i, '');
}

/** True for names of disks, archives and descriptions: a VM without one of them may be another VM. */
export function isOfVm(name: string): boolean {
  const inner = innerName(pieceOf(name)?.whole ?? name);
  return formatOfExtension(inner) !== null || /\.(ova|ovf|vmx|vmcx|vmsd|vbox|mf)$/i.test(inner);
}
