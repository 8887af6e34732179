import { describe, expect, it } from 'vitest';
import { otherHypervisors } from '../../../../src/families/linux/other-hypervisors.js';
import { applyOperations } from '../../../../src/operations/apply-operations.js';
import { type Files, type GuestRecipe, guestOf, pathsOf, textAfter } from '../guests.js';

function plan(files: Files, more: GuestRecipe = {}) {
  const guest = guestOf({ files, ...more });
  const { operations } = otherHypervisors.plan(guest);
  expect(otherHypervisors.plan(applyOperations(guest, operations)).operations).toEqual([]);
  return operations;
}

describe('residue of other hypervisors', () => {
  it('masks VirtualBox’s units, and comments out its modules, folders and X11 drivers', () => {
    const operations = plan({
      '/usr/lib/systemd/system/vboxadd.service': null,
      '/usr/lib/systemd/system/vboxadd-service.service': null,
      '/usr/lib/systemd/system/ssh.service': null,
      '/etc/modules-load.d/virtualbox-guest.conf': 'vboxguest\nvboxsf\nloop\n',
      '/etc/fstab': 'UUID=a / ext4 defaults 0 1\nshare /mnt/share vboxsf uid=1000 0 0\n',
      '/etc/X11/xorg.conf': 'Section "Device"\n\tDriver "vboxvideo"\nEndSection\n',
    });
    expect(pathsOf(operations)).toEqual([
      '/etc/systemd/system/vboxadd-service.service',
      '/etc/systemd/system/vboxadd.service',
      '/etc/modules-load.d/virtualbox-guest.conf',
      '/etc/fstab',
      '/etc/X11/xorg.conf',
    ]);
    expect(textAfter(operations, '/etc/modules-load.d/virtualbox-guest.conf')).toBe(
      '#vboxguest\n#vboxsf\nloop\n',
    );
    expect(textAfter(operations, '/etc/fstab')).toBe(
      'UUID=a / ext4 defaults 0 1\n#share /mnt/share vboxsf uid=1000 0 0\n',
    );
  });

  it('masks Hyper-V’s daemons under Debian’s and Red Hat’s names, and Azure’s agent', () => {
    const names = ['hv-kvp-daemon', 'hypervvssd', 'hv_fcopy_daemon', 'walinuxagent', 'waagent'];
    const files = Object.fromEntries(names.map((name) => [`/usr/lib/systemd/system/${name}.service`, null]));
    expect(pathsOf(plan({ ...files, '/etc/modules': 'hv_utils\nhv_storvsc\nkvm\n' })).sort()).toEqual(
      [...names.map((name) => `/etc/systemd/system/${name}.service`), '/etc/modules'].sort(),
    );
  });

  it('takes Xen’s modules and the login on hvc0 out, and its start links where there is no systemd', () => {
    const operations = plan(
      {
        '/etc/modules': 'xen-blkfront\nxen_netfront\n',
        '/etc/inittab':
          '1:2345:respawn:/sbin/getty 38400 tty1\nco:2345:respawn:/sbin/agetty hvc0 9600 vt100\n',
        '/etc/rc3.d/S14xe-linux-distribution': '-> ../init.d/xe-linux-distribution',
        '/etc/rc3.d/S10network': '-> ../init.d/network',
      },
      { identity: { init_system: 'sysvinit' } },
    );
    expect(textAfter(operations, '/etc/modules')).toBe('#xen-blkfront\n#xen_netfront\n');
    expect(textAfter(operations, '/etc/inittab')).toBe(
      '1:2345:respawn:/sbin/getty 38400 tty1\n#co:2345:respawn:/sbin/agetty hvc0 9600 vt100\n',
    );
    expect(textAfter(operations, '/etc/rc3.d/S14xe-linux-distribution')).toBeNull();
    expect(pathsOf(operations)).not.toContain('/etc/rc3.d/S10network');
  });

  it('says nothing of a guest without any of it', () => {
    expect(plan({ '/etc/modules': 'loop\n', '/etc/fstab': 'UUID=a / ext4 defaults 0 1\n' })).toEqual([]);
  });
});
