import { type GuestReader, isFile } from '../../../access/guest-reader.js';
import { Hyper2kvmError } from '../../../errors/error.js';
import { architectureOfElf } from '../../../machine/architecture.js';

const PROGRAMS = ['/bin/sh', '/usr/bin/sh', '/bin/bash', '/sbin/init', '/usr/lib/systemd/systemd'];
/** The header up to and including `e_machine`. */
const HEADER_BYTES = 20;

/**
 * Returns the architecture that the guest's programs are built for (ELF `e_machine`). Throws
 * `inspect.unknown-architecture`.
 */
export async function architecture(reader: GuestReader): Promise<string> {
  for (const program of PROGRAMS) {
    // Reading a named pipe would block.
    if (!(await isFile(reader, program))) continue;
    const head = await reader.readAt(program, 0, HEADER_BYTES);
    if (head.length < HEADER_BYTES || head.toString('latin1', 0, 4) !== '\x7fELF') continue;
    const bigEndian = head[5] === 2;
    const found = architectureOfElf(bigEndian ? head.readUInt16BE(18) : head.readUInt16LE(18));
    if (found !== undefined) return found;
  }
  throw new Hyper2kvmError('inspect.unknown-architecture', 'cannot determine the guest’s architecture');
}
