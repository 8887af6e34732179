/** Returns the letters of a disk by its index from 0, as Linux names disks: `a` … `z`, `aa`, `ab`. */
export function diskLetters(index: number): string {
  const last = String.fromCharCode(97 + (index % 26));
  return index < 26 ? last : diskLetters(Math.floor(index / 26) - 1) + last;
}

/** Returns the index that disk letters stand for: `a` → 0, `aa` → 26. */
export function diskIndex(letters: string): number {
  return [...letters].reduce((sum, letter) => sum * 26 + letter.charCodeAt(0) - 96, 0) - 1;
}
