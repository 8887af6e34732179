import type { ApplianceSession } from '../../appliance/session.js';
import { Hyper2kvmError } from '../../errors/error.js';
import type { GuestTree } from '../../guest/tree.js';

/** ELF `e_machine` (System V ABI) of the programs in the guest: what the userland is made for. */
const MACHINES: Record<number, string> = {
  3: 'i386',
  21: 'ppc64',
  22: 's390x',
  40: 'arm',
  62: 'x86_64',
  183: 'aarch64',
  243: 'riscv64',
};
const PROGRAMS = ['/bin/sh', '/usr/bin/sh', '/bin/bash', '/sbin/init', '/usr/lib/systemd/systemd'];

export async function architecture(session: ApplianceSession, tree: GuestTree): Promise<string> {
  for (const program of PROGRAMS) {
    const real = tree.resolve(program) ?? program;
    // Only the names of programs are in the snapshot: this may be a link (Alpine's /bin/sh to busybox).
    if (!(await session.call('is_file_opts', real, { followsymlinks: true }))) continue;
    const head = await session.call('pread', real, 20, 0);
    if (head.length < 20 || head.toString('latin1', 0, 4) !== '\x7fELF') continue;
    const bigEndian = head[5] === 2;
    const machine = MACHINES[bigEndian ? head.readUInt16BE(18) : head.readUInt16LE(18)];
    if (machine !== undefined) return machine;
  }
  throw new Hyper2kvmError('inspect.unknown-architecture', 'no program of the guest tells its architecture', {
    advice: 'Neither /bin/sh nor systemd is a known ELF file: the root filesystem may be damaged.',
  });
}
