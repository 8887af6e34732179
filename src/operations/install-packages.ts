import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { isFile } from '../access/guest-reader.js';
import { errorRecord, Hyper2kvmError } from '../errors/error.js';
import { causeFields, type OperationKind } from './operation.js';

/**
 * Copies the packages (names in the host's `directory`, with their SHA-256) to /var/tmp of the guest, runs
 * `command` with their guest paths appended, removes them, and checks that one of `programs` (guest paths)
 * exists.
 */
const schema = z.object({
  op: z.literal('install_packages'),
  ...causeFields,
  directory: z.string(),
  packages: z.array(z.object({ file: z.string(), sha256: z.string() })),
  command: z.array(z.string()),
  programs: z.array(z.string()),
});
export type InstallPackages = z.infer<typeof schema>;

/**
 * Debian's way to keep services from starting (invoke-rc.d(8)): the packages' scripts run in the appliance,
 * where the guest's services do not run.
 */
const POLICY = '/usr/sbin/policy-rc.d';

export const installPackages: OperationKind<InstallPackages> = {
  op: 'install_packages',
  whileRunning: false,
  schema,
  subject: ({ command }) => command.join(' '),
  title: ({ packages }) => ({ verb: 'install', object: packages.map(({ file }) => file).join(', ') }),
  diff: ({ command, packages }) => ({
    text: null,
    remarks: [
      `run ${command.join(' ')} with`,
      ...packages.map(({ file, sha256 }) => `  ${file} (sha256 ${sha256})`),
    ],
  }),
  applyTo(draft) {
    draft.identity = { ...draft.identity, qemu_guest_agent: true };
  },
  async execute(guest, { directory, packages, command, programs }) {
    const copies: string[] = [];
    for (const { file, sha256 } of packages) {
      const content = await readFile(join(directory, file));
      if (createHash('sha256').update(content).digest('hex') !== sha256)
        throw new Hyper2kvmError('fix.packages-changed', `${join(directory, file)} was changed after PLAN`);
      const copy = `/var/tmp/hyper2kvm-${file}`;
      await guest.create(copy, content, 0o644);
      copies.push(copy);
    }
    const forbids = command[0] === 'dpkg' && !(await isFile(guest, POLICY));
    if (forbids) await guest.create(POLICY, Buffer.from('#!/bin/sh\nexit 101\n'), 0o755);
    try {
      await guest.run([...command, ...copies]);
    } catch (error) {
      throw new Hyper2kvmError(
        'fix.packages-failed',
        `the guest could not install them: ${errorRecord(error).message}`,
        {
          advice: `Put every package that they need into ${directory}, or convert without fix.guest_agent_packages.`,
          cause: error,
        },
      );
    }
    if (forbids) await guest.remove(POLICY);
    for (const copy of copies) await guest.remove(copy);
    for (const program of programs) {
      if (await isFile(guest, program))
        return [`${program}: installed from ${packages.length} packages by ${command[0]}`];
    }
    throw new Hyper2kvmError(
      'fix.packages-failed',
      `${programs.join(' or ')} does not exist after the installation`,
      { advice: `Check that the packages in ${directory} are for this system.` },
    );
  },
};
