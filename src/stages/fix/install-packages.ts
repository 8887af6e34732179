import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errorRecord, Hyper2kvmError } from '../../errors/error.js';
import type { Operation } from '../../model/operation.js';
import type { FixTarget } from './guest-writer.js';

type Install = Extract<Operation, { op: 'install_packages' }>;

/** Debian's way to forbid services to start (invoke-rc.d(8)): the packages' scripts run in the appliance, where nothing of the guest's runs. */
const POLICY = '/usr/sbin/policy-rc.d';

/** Installs the operator's packages with the guest's own program and proves that what they bring is there. */
export async function installPackages(operation: Install, target: FixTarget): Promise<string> {
  const { directory, packages, command, programs } = operation;
  const copies: string[] = [];
  for (const { file, sha256 } of packages) {
    const content = await readFile(join(directory, file));
    if (createHash('sha256').update(content).digest('hex') !== sha256)
      throw new Hyper2kvmError(
        'fix.packages-changed',
        `${join(directory, file)} is not the file that PLAN saw`,
        {
          advice: 'Retry from PLAN: `hyper2kvm retry JOB --from plan`.',
        },
      );
    const copy = `/var/tmp/hyper2kvm-${file}`;
    await target.create(copy, content, 0o644);
    copies.push(copy);
  }
  const forbids = command[0] === 'dpkg' && !(await target.exists(POLICY));
  if (forbids) await target.create(POLICY, Buffer.from('#!/bin/sh\nexit 101\n'), 0o755);
  try {
    await target.run([...command, ...copies]);
  } catch (error) {
    throw new Hyper2kvmError(
      'fix.packages-failed',
      `the guest did not install them: ${errorRecord(error).message}`,
      {
        advice: `Put every package that they need into ${directory}, or convert without fix.guest_agent_packages.`,
        cause: error,
      },
    );
  }
  if (forbids) await target.remove(POLICY);
  for (const copy of copies) await target.remove(copy);
  for (const program of programs) {
    if (await target.exists(program))
      return `${program}: installed from ${packages.length} packages by ${command[0]}`;
  }
  throw new Hyper2kvmError(
    'fix.packages-failed',
    `${programs.join(' or ')} is not there after the installation`,
    {
      advice: `Look whether the packages in ${directory} are those of this system.`,
    },
  );
}
