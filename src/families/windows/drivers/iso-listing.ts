/** A regular file of an ISO image. */
export interface IsoFile {
  path: string;
  size: number;
}

/**
 * Returns the regular files of `7z l -slt -ba`: a paragraph an entry, `Name = value` a line. Links and
 * folders are left out, and names that are no plain paths: with `..`, a backslash, or a control character
 * (which could also fake a line of another entry).
 */
export function parseIsoListing(text: string): IsoFile[] {
  return text.split('\n\n').flatMap((paragraph) => {
    const fields = new Map<string, string>();
    for (const line of paragraph.split('\n')) {
      const at = line.indexOf(' = ');
      if (at !== -1 && !fields.has(line.slice(0, at))) fields.set(line.slice(0, at), line.slice(at + 3));
    }
    const path = fields.get('Path') ?? '';
    const size = /^\d{1,15}$/.test(fields.get('Size') ?? '') ? Number(fields.get('Size')) : null;
    const isLink = (fields.get('Symbolic Link') ?? '').trim() !== '';
    const isFile = fields.get('Folder') === '-' && !isLink && size !== null;
    return isFile && isPlainPath(path) ? [{ path, size }] : [];
  });
}

function isPlainPath(path: string): boolean {
  if (path === '' || path.length > 1024 || /[\x00-\x1f\x7f\\]/.test(path)) return false;
  return path.split('/').every((part) => part !== '' && part !== '.' && part !== '..');
}
