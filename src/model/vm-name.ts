/** Bytes of a name in UTF-8: a file's name of at most 255 also has the disk's number, a job and a temporary ending. */
const MAX_BYTES = 120;
const MAX_CHARACTERS = 63;
const PATTERN = new RegExp(String.raw`^[\p{L}\p{N}][\p{L}\p{M}\p{N}._-]{0,${MAX_CHARACTERS - 1}}$`, 'u');

export const VM_NAME_RULE = `must be at most ${MAX_CHARACTERS} letters, digits, dots, dashes and underscores (${MAX_BYTES} bytes in UTF-8)`;

/** Returns whether a name is safe in file names, in libvirt and in a shell. */
export function isVmName(name: string): boolean {
  return PATTERN.test(name) && Buffer.byteLength(name) <= MAX_BYTES;
}

/**
 * Returns a name that is safe in file names, in libvirt and in a shell. Letters of every script stay, so that VMs with
 * Chinese or Japanese names do not become the same one; Latin letters lose their accents.
 */
export function vmName(drop: string): string {
  const plain = drop
    .normalize('NFKD')
    .replace(/([A-Za-z])[\u0300-\u036f]+/g, '$1')
    .normalize('NFC')
    .replace(/[^\p{L}\p{M}\p{N}._-]+/gu, '-')
    .replace(/^[^\p{L}\p{N}]+/u, '');
  const name = shortened(plain).replace(/[-.]+$/, '');
  return name === '' ? 'vm' : name;
}

/** Returns as many of the first characters as a name may have. */
function shortened(text: string): string {
  let result = '';
  for (const character of Array.from(text).slice(0, MAX_CHARACTERS)) {
    if (Buffer.byteLength(result + character) > MAX_BYTES) break;
    result += character;
  }
  return result;
}
