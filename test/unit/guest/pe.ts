/**
 * A PE32+ program, as small as one can be: `sections` in the order of the file, with the alignments that
 * ukify uses.
 */
export function makePe(
  sections: readonly { name: string; address: number; content: Buffer }[],
  { certificate }: { certificate?: Buffer } = {},
): Buffer {
  const SECTIONS_AT = 0x40 + 4 + 20 + 240;
  const first = roundUp(SECTIONS_AT + 40 * (sections.length + 1), 512);
  const head = Buffer.alloc(first);
  head.write('MZ');
  head.writeUInt32LE(0x40, 0x3c);
  head.write('PE\0\0', 0x40, 'latin1');
  head.writeUInt16LE(0x8664, 0x44);
  head.writeUInt16LE(sections.length, 0x46);
  head.writeUInt16LE(240, 0x54);
  const optional = 0x58;
  head.writeUInt16LE(0x20b, optional);
  head.writeUInt32LE(4096, optional + 32);
  head.writeUInt32LE(512, optional + 36);
  head.writeUInt32LE(first, optional + 60);
  head.writeUInt32LE(0x1234, optional + 64);
  head.writeUInt32LE(16, optional + 108);
  const pieces: Buffer[] = [head];
  let offset = first;
  let end = 0;
  for (const [index, { name, address, content }] of sections.entries()) {
    const header = SECTIONS_AT + 40 * index;
    const padded = roundUp(content.length, 512);
    head.write(name, header, 8, 'latin1');
    head.writeUInt32LE(content.length, header + 8);
    head.writeUInt32LE(address, header + 12);
    head.writeUInt32LE(padded, header + 16);
    head.writeUInt32LE(offset, header + 20);
    pieces.push(content, Buffer.alloc(padded - content.length));
    offset += padded;
    end = Math.max(end, address + content.length);
  }
  head.writeUInt32LE(roundUp(end, 4096), optional + 56);
  if (certificate !== undefined) {
    head.writeUInt32LE(offset, optional + 112 + 32);
    head.writeUInt32LE(certificate.length, optional + 112 + 36);
    pieces.push(certificate);
  }
  return Buffer.concat(pieces);
}

/**
 * `kernel` bytes that say of themselves, as x86's do, how much memory they need and which version they are.
 */
export function kernelOf(size: number, memory: number, version = ''): Buffer {
  const kernel = Buffer.alloc(size, 'k');
  kernel.write('HdrS', 0x202, 'latin1');
  kernel.writeUInt32LE(memory, 0x260);
  kernel.writeUInt16LE(0x400, 0x20e);
  kernel.write(`${version} (builder@host) #1 SMP\0`, 0x600, 'latin1');
  return kernel;
}

const roundUp = (value: number, unit: number) => Math.ceil(value / unit) * unit;
