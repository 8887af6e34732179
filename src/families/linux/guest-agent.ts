import { hasProgram, programPaths } from '../../guest/programs.js';
import type { InstallPackages } from '../../operations/install-packages.js';
import { putFile } from '../base/edit.js';
import type { Fixer, Guest } from '../base/fixer.js';

const NAME = 'guest-agent';

export const guestAgent: Fixer = {
  name: NAME,
  whileRunning: false,
  description:
    'Only with fix.guest_agent_packages: a guest without qemu-guest-agent gets the packages of the directory that is named after its system, by its own dpkg or rpm, without network. Packages of the same or a newer version that are installed already stay. A guest with SELinux relabels itself at its first boot, because files that a package manager writes in the appliance have no labels.',
  plan(guest) {
    const { identity, options, packages } = guest;
    if (options.guest_agent_packages === '' || identity.qemu_guest_agent)
      return { operations: [], warnings: [] };
    const command = installCommand(guest);
    if (command === null || packages.files.length === 0) {
      const system = `${identity.os_distro}-${identity.os_version}`;
      const message = `fix.guest_agent_packages has no packages of qemu-guest-agent for ${system} on ${identity.architecture}: the guest gets no agent`;
      return { operations: [], warnings: [{ fixer: NAME, code: 'guest-agent.no-packages', message }] };
    }
    const cause = {
      fixer: NAME,
      reason: 'fix.guest_agent_packages asks for qemu-guest-agent, and it is missing',
    };
    const install: InstallPackages = {
      op: 'install_packages',
      ...cause,
      directory: packages.directory,
      packages: [...packages.files],
      command,
      programs: programPaths('qemu-ga'),
    };
    const relabel = {
      fixer: NAME,
      reason: 'files of a package that is installed in the appliance have no SELinux labels',
    };
    const relabelling = identity.selinux ? putFile(guest.tree, '/.autorelabel', relabel, '') : [];
    return { operations: [install, ...relabelling], warnings: [] };
  },
};

/**
 * Returns the program of the guest that installs package files; both leave a newer version alone. It asks no
 * questions and uses no repository.
 */
function installCommand({ tree }: Guest): string[] | null {
  if (hasProgram(tree, 'dpkg'))
    return ['dpkg', '--install', '--skip-same-version', '--refuse-downgrade', '--force-confold'];
  return hasProgram(tree, 'rpm') ? ['rpm', '--upgrade', '--replacepkgs'] : null;
}
