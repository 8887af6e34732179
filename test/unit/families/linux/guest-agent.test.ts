import { describe, expect, it } from 'vitest';
import { guestAgent } from '../../../../src/families/linux/guest-agent.js';
import { applyOperations } from '../../../../src/operations/apply-operations.js';
import { type GuestRecipe, guestOf } from '../guests.js';

const options = { guest_agent_packages: '/srv/packages' };
const packages = {
  directory: '/srv/packages/debian-12',
  files: [{ file: 'qemu-guest-agent_7.2_amd64.deb', sha256: 'aa' }],
};
const plan = (recipe: GuestRecipe) => guestAgent.plan(guestOf({ options, packages, ...recipe }));
const DEBIAN = { '/usr/bin/dpkg': null };

describe('guest-agent', () => {
  it('says nothing unless asked, nor where the agent is there', () => {
    expect(plan({ files: DEBIAN, options: {} }).operations).toEqual([]);
    expect(plan({ files: DEBIAN, identity: { qemu_guest_agent: true } })).toEqual({
      operations: [],
      warnings: [],
    });
  });

  it('is installed by the guest’s own package manager, once', () => {
    const guest = guestOf({ options, packages, files: DEBIAN });
    const { operations } = guestAgent.plan(guest);
    expect(operations).toMatchObject([{ op: 'install_packages', packages: packages.files }]);
    expect(operations[0]).toHaveProperty('command.0', 'dpkg');
    expect(guestAgent.plan(applyOperations(guest, operations)).operations).toEqual([]);
    expect(plan({ files: { '/usr/bin/rpm': null } }).operations[0]).toHaveProperty('command.0', 'rpm');
  });

  it('has an SELinux guest relabel itself', () => {
    const { operations } = plan({ files: { '/usr/bin/rpm': null }, identity: { selinux: true } });
    expect(operations[1]).toMatchObject({ op: 'write_file', path: '/.autorelabel' });
  });

  it('warns where there is no package for the guest, or nothing that could install one', () => {
    const code = 'guest-agent.no-packages';
    const none = { directory: '/srv/packages', files: [] };
    expect(plan({ files: DEBIAN, packages: none }).warnings).toMatchObject([{ code }]);
    expect(plan({ files: { '/usr/bin/pacman': null } }).warnings).toMatchObject([{ code }]);
  });
});
