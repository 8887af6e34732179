/** Returns the text without dashes of a GUID at that place; its first three fields are little-endian. */
export function guid(bytes: Buffer, at = 0): string {
  const field = (start: number, length: number) =>
    Buffer.from(bytes.subarray(at + start, at + start + length))
      .reverse()
      .toString('hex');
  return field(0, 4) + field(4, 2) + field(6, 2) + bytes.toString('hex', at + 8, at + 16);
}
