/** Windows' numbers for encodings that have another name in the Encoding Standard. */
const CODE_PAGES: Readonly<Record<string, string>> = {
  'windows-932': 'shift_jis',
  'windows-936': 'gbk',
  'windows-950': 'big5',
};
/** A declaration is among the first lines. */
const DECLARED_WITHIN = 4096;

/**
 * Returns the text of a description in the encoding that it is written in: by its byte order mark or its zero
 * bytes, otherwise by what `declaration` finds in it (its first group), otherwise UTF-8. Text that declares
 * nothing and is not UTF-8 is read in Windows' western code page, which older programs wrote.
 */
export function decodeText(bytes: Buffer, declaration: RegExp | null): string {
  const wide = wideEncoding(bytes);
  if (wide !== null) return new TextDecoder(wide).decode(bytes);
  const declared = declaration?.exec(bytes.toString('latin1', 0, DECLARED_WITHIN))?.[1]?.toLowerCase();
  const decoder = declared === undefined ? null : decoderFor(CODE_PAGES[declared] ?? declared);
  if (decoder !== null && decoder.encoding !== 'utf-8') return decoder.decode(bytes);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return new TextDecoder('windows-1252').decode(bytes);
  }
}

function wideEncoding(bytes: Buffer): 'utf-16le' | 'utf-16be' | null {
  const [first, second] = bytes;
  if (first === 0xff && second === 0xfe) return 'utf-16le';
  if (first === 0xfe && second === 0xff) return 'utf-16be';
  // Text that begins with an ASCII character and has no byte order mark.
  if (first !== 0 && second === 0) return 'utf-16le';
  return first === 0 && second !== undefined && second !== 0 ? 'utf-16be' : null;
}

/** Returns null for a name that is not an encoding. */
function decoderFor(label: string): InstanceType<typeof TextDecoder> | null {
  try {
    return new TextDecoder(label);
  } catch {
    return null;
  }
}
