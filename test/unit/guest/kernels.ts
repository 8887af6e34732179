/** The beginning of an x86 kernel of this version, as Linux: arch/x86/boot.rst has it. */
export function bzImage(version: string): Buffer {
  const image = Buffer.alloc(0x2000);
  image.write('HdrS', 0x202, 'latin1');
  image.writeUInt16LE(0x1000, 0x20e);
  image.write(`${version} (builder@host) #1 SMP Mon Jan 1 00:00:00 UTC 2024\0`, 0x1200, 'latin1');
  return image;
}
