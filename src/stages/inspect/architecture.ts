import type { ApplianceSession } from '../../appliance/session.js';
import { Hyper2kvmError } from '../../errors/error.js';
import type { GuestTree } from '../../guest/tree.js';
import { architectureOfElf } from '../../machine/architecture.js';

const PROGRAMS = ['/bin/sh', '/usr/bin/sh', '/bin/bash', '/sbin/init', '/usr/lib/systemd/systemd'];

/** Returns what the programs in the guest are made for (ELF `e_machine`). Throws `inspect.unknown-architecture`. */
export async function architecture(session: ApplianceSession, tree: GuestTree): Promise<string> {
  for (const program of PROGRAMS) {
    const real = tree.resolve(program) ?? program;
    // Only the names of programs are in the snapshot: this may be a link (Alpine's /bin/sh to busybox).
    if (!(await session.call('is_file_opts', real, { followsymlinks: true }))) continue;
    const head = await session.call('pread', real, 20, 0);
    if (head.length < 20 || head.toString('latin1', 0, 4) !== '\x7fELF') continue;
    const bigEndian = head[5] === 2;
    const found = architectureOfElf(bigEndian ? head.readUInt16BE(18) : head.readUInt16LE(18));
    if (found !== undefined) return found;
  }
  throw new Hyper2kvmError('inspect.unknown-architecture', 'no program of the guest tells its architecture', {
    advice: 'Neither /bin/sh nor systemd is a known ELF file: the root filesystem may be damaged.',
  });
}
