/**
 * A GUID of 16 bytes as text, in lower case without braces: Windows stores its first three groups
 * little-endian. The same text as udev's and blkid's of a GPT partition.
 */
export function guidText(bytes: Buffer, offset = 0): string {
  const group = (from: number, to: number) => bytes.toString('hex', offset + from, offset + to);
  const swapped = (from: number, to: number) =>
    Buffer.from(bytes.subarray(offset + from, offset + to))
      .reverse()
      .toString('hex');
  return [swapped(0, 4), swapped(4, 6), swapped(6, 8), group(8, 10), group(10, 16)].join('-');
}
