import { describe, expect, it } from 'vitest';
import { blkidCache } from '../../../../src/families/linux/blkid-cache.js';
import { deviceMap } from '../../../../src/families/linux/device-map.js';
import { lvm } from '../../../../src/families/linux/lvm.js';
import { mdadm } from '../../../../src/families/linux/mdadm.js';
import { resume } from '../../../../src/families/linux/resume.js';
import { uefiFallback } from '../../../../src/families/linux/uefi-fallback.js';
import { vmware } from '../../../../src/families/linux/vmware.js';
import { applyOperations } from '../../../../src/operations/apply-operations.js';
import { type Files, filesystem, type GuestRecipe, guestOf, pathsOf, textAfter } from '../guests.js';

const DEBIAN_TOOLS: Files = {
  '/lib': '-> usr/lib',
  '/usr/lib/systemd/system/open-vm-tools.service': null,
  '/usr/lib/systemd/system/vgauth.service': null,
  '/usr/lib/systemd/system/ssh.service': null,
  '/etc/systemd/system/vmtoolsd.service': '-> /lib/systemd/system/open-vm-tools.service',
  '/etc/systemd/system/multi-user.target.wants/open-vm-tools.service':
    '-> /lib/systemd/system/open-vm-tools.service',
};

describe('VMware’s residue', () => {
  const plan = (files: Files, more: GuestRecipe = {}) => {
    const guest = guestOf({ files, ...more });
    const { operations } = vmware.plan(guest);
    expect(vmware.plan(applyOperations(guest, operations)).operations).toEqual(
      operations.filter(({ op }) => op === 'run'),
    );
    return operations;
  };

  it('masks the units of open-vm-tools and nothing else', () => {
    const operations = plan(DEBIAN_TOOLS);
    expect(pathsOf(operations)).toEqual(
      ['open-vm-tools', 'vgauth', 'vmtoolsd'].map((name) => `/etc/systemd/system/${name}.service`),
    );
    expect(
      operations.every((operation) => operation.op === 'symlink' && operation.target === '/dev/null'),
    ).toBe(true);
  });

  it('leaves alone what only sounds like VMware Tools', () => {
    const files = {
      '/usr/lib/systemd/system/vmware-exporter.service': null,
      '/usr/lib/systemd/system/vmware-usbarbitrator.service': null,
      '/etc/systemd/system/vmware-backup.mount': '[Mount]\n',
      '/etc/init.d/vmware-tools_exporter': '#!/bin/sh\n',
      '/etc/init/vmware-tools-monitoring.conf': 'start on runlevel\n',
      '/etc/rc3.d/S99vmware-tools_exporter': '-> ../init.d/vmware-tools_exporter',
      '/etc/modules': 'vmw_vsock_virtio_transport\nvmw_custom\n',
      '/etc/cron.d/backup': '0 3 * * * root /opt/bin/vmware-backup --all\n',
      '/etc/crontab': '0 4 * * * root /opt/open-vm-tools-report/run\n',
    };
    expect(plan(files)).toEqual([]);
    expect(plan(files, { identity: { init_system: 'upstart' } })).toEqual([]);
  });

  it('takes away what starts the tarball’s own unit in /etc, and masks its System V script', () => {
    const unit = '/etc/systemd/system/vmware-tools.service';
    const wants = '/etc/systemd/system/multi-user.target.wants/vmware-tools.service';
    expect(plan({ [unit]: '[Service]\n', [wants]: `-> ${unit}` })).toMatchObject([
      { op: 'remove', path: wants },
    ]);
    expect(plan({ '/etc/init.d/vmware-tools': '#!/bin/sh\n' })).toMatchObject([
      { op: 'symlink', path: unit },
    ]);
  });

  it('stops System V and upstart jobs where there is no systemd', () => {
    const files = {
      '/etc/rc.d/rc3.d/S03vmware-tools': '-> ../init.d/vmware-tools',
      '/etc/rc3.d': '-> rc.d/rc3.d',
      '/etc/rc.d/rc3.d/S10network': '-> ../init.d/network',
      '/etc/init/vmware-tools.conf': 'start on runlevel\n',
    };
    const operations = plan(files, { identity: { init_system: 'upstart' } });
    expect(pathsOf(operations)).toEqual([
      '/etc/rc.d/rc3.d/S03vmware-tools',
      '/etc/init/vmware-tools.override',
    ]);
  });

  it('comments out shared folders, modules, cron jobs and X11’s driver', () => {
    const files = {
      '/etc/fstab': 'UUID=a / ext4 defaults 0 1\n.host:/ /mnt/hgfs fuse.vmhgfs-fuse allow_other 0 0\n',
      '/etc/modules': '# modules\nloop\nvmw_balloon\n',
      '/etc/modules-load.d/modules.conf': '-> ../modules',
      '/etc/initramfs-tools/modules': 'vmw_pvscsi\n',
      '/etc/cron.d/vmware': '0 3 * * * root /usr/bin/vmware-toolbox-cmd disk shrink /\n',
      '/etc/X11/xorg.conf': 'Section "Device"\n  Driver "vmware"\nEndSection\n',
    };
    const operations = plan(files);
    expect(textAfter(operations, '/etc/fstab')).toBe(
      'UUID=a / ext4 defaults 0 1\n#.host:/ /mnt/hgfs fuse.vmhgfs-fuse allow_other 0 0\n',
    );
    expect(textAfter(operations, '/etc/modules')).toBe('# modules\nloop\n#vmw_balloon\n');
    expect(textAfter(operations, '/etc/cron.d/vmware')).toBe(
      '#0 3 * * * root /usr/bin/vmware-toolbox-cmd disk shrink /\n',
    );
    expect(textAfter(operations, '/etc/X11/xorg.conf')).toBe(
      'Section "Device"\n#  Driver "vmware"\nEndSection\n',
    );
    // The guest must still start where it came from.
    expect(pathsOf(operations)).not.toContain('/etc/initramfs-tools/modules');
  });

  it('switches repositories of the tools off, but not Photon’s own packages', () => {
    const tools =
      '[vmware-tools]\nname=VMware Tools\nbaseurl = http://packages.vmware.com/tools/esx/5.5/rhel6\nenabled = 1\n[other]\nbaseurl=https://example.org\nenabled=1\n';
    const operations = plan({
      '/etc/yum.repos.d/vmware.repo': tools,
      '/etc/yum.repos.d/photon.repo': '[photon]\nbaseurl=https://packages.vmware.com/photon/5.0\nenabled=1\n',
    });
    expect(pathsOf(operations)).toEqual(['/etc/yum.repos.d/vmware.repo']);
    expect(textAfter(operations, '/etc/yum.repos.d/vmware.repo')).toBe(
      tools.replace('enabled = 1', 'enabled = 0'),
    );
  });

  it('removes the packages when asked to, and nothing at all with keep', () => {
    const status =
      'Package: bash\nStatus: install ok installed\n\nPackage: open-vm-tools\nStatus: install ok installed\nVersion: 2\n\nPackage: open-vm-tools-desktop\nStatus: deinstall ok config-files\n';
    const identity = { vmware_tools: 'open-vm-tools' } as const;
    const files = { ...DEBIAN_TOOLS, '/var/lib/dpkg/status': status };
    expect(plan(files, { identity, options: { vmware_tools: 'remove' } })).toMatchObject([
      { op: 'run', command: ['dpkg', '--purge', 'open-vm-tools'] },
    ]);
    expect(
      plan({ ...files, '/etc/modules': 'vmw_balloon\n' }, { options: { vmware_tools: 'keep' } }),
    ).toEqual([]);
  });
});

describe('the UEFI fallback loader', () => {
  const uefi = { identity: { firmware: 'uefi' } } as const;
  const esp = (names: string[], root = '/boot/efi/EFI'): Files =>
    Object.fromEntries(names.map((name) => [`${root}/${name}`, name.endsWith('.cfg') ? 'x' : null]));
  const copies = (files: Files, more: GuestRecipe = uefi) =>
    uefiFallback
      .plan(guestOf({ files, ...more }))
      .operations.map((operation) =>
        operation.op === 'copy_file' ? `${operation.from} > ${operation.path}` : operation.op,
      );

  it('is Debian’s shim with the GRUB, MokManager and stub that it looks for', () => {
    const at = (name: string) => `/boot/efi/EFI/${name}`;
    expect(
      copies(
        esp([
          'debian/shimx64.efi',
          'debian/grubx64.efi',
          'debian/mmx64.efi',
          'debian/fbx64.efi',
          'debian/BOOTX64.CSV',
          'debian/grub.cfg',
        ]),
      ),
    ).toEqual([
      `${at('debian/shimx64.efi')} > ${at('BOOT/BOOTX64.EFI')}`,
      `${at('debian/grub.cfg')} > ${at('BOOT/grub.cfg')}`,
      `${at('debian/grubx64.efi')} > ${at('BOOT/grubx64.efi')}`,
      `${at('debian/mmx64.efi')} > ${at('BOOT/mmx64.efi')}`,
    ]);
  });

  it('is GRUB without shim, or systemd-boot', () => {
    expect(copies(esp(['arch/grubx64.efi'], '/efi/EFI'))).toEqual([
      '/efi/EFI/arch/grubx64.efi > /efi/EFI/BOOT/BOOTX64.EFI',
    ]);
    expect(copies(esp(['systemd/systemd-bootx64.efi', 'Linux/arch.efi'], '/boot/EFI'))).toEqual([
      '/boot/EFI/systemd/systemd-bootx64.efi > /boot/EFI/BOOT/BOOTX64.EFI',
    ]);
  });

  it('is the newest kernel’s unified image where there is no loader, with its command line', () => {
    const image = (version: string) => `/efi/EFI/Linux/arch-${version}.efi`;
    const versions = ['6.9.1', '6.10.2'];
    const unified_images = versions.map((version) => ({ path: image(version), version, signed: false }));
    const commandLines = versions.map((version) => [`${image(version)}:.cmdline`, version]);
    const files = { [image('6.9.1')]: null, [image('6.10.2')]: null, ...Object.fromEntries(commandLines) };
    expect(copies(files, { identity: { firmware: 'uefi', unified_images } })).toEqual([
      `${image('6.10.2')} > /efi/EFI/BOOT/BOOTX64.EFI`,
    ]);
    const guest = guestOf({ files, identity: { firmware: 'uefi', unified_images } });
    const { tree } = applyOperations(guest, uefiFallback.plan(guest).operations);
    expect(tree.text('/efi/EFI/BOOT/BOOTX64.EFI:.cmdline')?.text).toBe('6.10.2');
  });

  it('is of the guest’s own distribution and architecture', () => {
    const names = [
      'Microsoft/bootmgfw.efi',
      'fedora/shimx64.efi',
      'ubuntu/shimx64.efi',
      'ubuntu/shimaa64.efi',
    ];
    expect(copies(esp(names), { identity: { firmware: 'uefi', os_distro: 'ubuntu' } })).toEqual([
      '/boot/efi/EFI/ubuntu/shimx64.efi > /boot/efi/EFI/BOOT/BOOTX64.EFI',
    ]);
    expect(copies(esp(names), { identity: { firmware: 'uefi', architecture: 'aarch64' } })).toEqual([
      '/boot/efi/EFI/ubuntu/shimaa64.efi > /boot/efi/EFI/BOOT/BOOTAA64.EFI',
    ]);
  });

  it('is left alone where it is there, in any case of letters, and on a BIOS guest', () => {
    expect(copies(esp(['debian/shimx64.efi', 'boot/bootx64.efi']))).toEqual([]);
    expect(copies(esp(['debian/shimx64.efi']), {})).toEqual([]);
  });

  it('goes into the directory that is there, and keeps its files', () => {
    expect(copies(esp(['debian/grubx64.efi', 'debian/grub.cfg', 'Boot/GRUB.CFG']))).toEqual([
      '/boot/efi/EFI/debian/grubx64.efi > /boot/efi/EFI/Boot/BOOTX64.EFI',
    ]);
  });

  it('is nothing to do after it was planned', () => {
    const guest = guestOf({ files: esp(['debian/shimx64.efi', 'debian/grubx64.efi']), ...uefi });
    expect(uefiFallback.plan(applyOperations(guest, uefiFallback.plan(guest).operations)).operations).toEqual(
      [],
    );
  });

  it('fails by name where the ESP has no known loader', () => {
    expect(() => copies(esp(['vendor/tool.efi']))).toThrowError(
      expect.objectContaining({ code: 'plan.uefi-no-loader' }),
    );
  });
});

describe('records of old devices', () => {
  it('of LVM, blkid and GRUB are removed', () => {
    const files = {
      '/etc/lvm/devices/system.devices': 'IDTYPE=devname IDNAME=/dev/sda2\n',
      '/etc/lvm/cache/.cache': 'x',
      '/etc/blkid/blkid.tab': '<device>',
      '/etc/blkid/blkid.tab.old': '<device>',
      '/boot/grub/device.map': '(hd0)\t/dev/sda\n',
    };
    const guest = guestOf({ files });
    const operations = [lvm, blkidCache, deviceMap].flatMap((fixer) => fixer.plan(guest).operations);
    expect(pathsOf(operations)).toEqual(Object.keys(files));
    expect(operations.every(({ op }) => op === 'remove')).toBe(true);
  });

  it('in LVM’s filter get virtio’s beside them, with a warning', () => {
    const conf =
      'devices {\n\t# filter = [ "a|/dev/sd.*|", "r|.*|" ]\n\tfilter = [ "a|^/dev/sd.*|", "r|.*|" ]\n\tglobal_filter = [ "r|/dev/drbd.*|" ]\n}\n';
    const guest = guestOf({ files: { '/etc/lvm/lvm.conf': conf } });
    const { operations, warnings } = lvm.plan(guest);
    expect(textAfter(operations, '/etc/lvm/lvm.conf')).toBe(
      conf.replace('\tfilter = [ "a|^/dev/sd', '\tfilter = [ "a|^/dev/vd|", "a|^/dev/sd'),
    );
    expect(warnings).toMatchObject([{ code: 'lvm.filter' }]);
    expect(lvm.plan(applyOperations(guest, operations))).toEqual({ operations: [], warnings: [] });
  });

  it.each([
    [
      'over several lines, with remarks',
      '\tfilter = [\n\t\t# the disks: ["\n\t\t"a|^/dev/sd[a-z]$|", # ]\n\t\t"r|.*|"\n\t]\n',
      '"a|^/dev/sd[a-z]$|"',
    ],
    ['by a single quote', "devices { global_filter=['a|/dev/sda|','r/.*/'] }\n", "'a|/dev/sda|'"],
    ['by a full name', 'devices/filter = [ "a|/dev/disk/by-id/|", "r|.*|" ]\n', '"a|/dev/disk/by-id/|"'],
    ['by a class', 'filter=["a|^/dev/[sh]d|", "r|.*|"]\n', '"a|^/dev/[sh]d|"'],
    [
      'with a number or without',
      'filter=["a|^/dev/sd[a-z]+([0-9]+)?$|", "r|.*|"]\n',
      '"a|^/dev/sd[a-z]+([0-9]+)?$|"',
    ],
    ['by two names', 'filter=["a|^/dev/(sda|sdb)|", "r|.*|"]\n', '"a|^/dev/(sda|sdb)|"'],
    ['by other delimiters', 'filter=["a(sda2)", "r[.*]"]\n', '"a(sda2)"'],
    ['behind others on its line', 'devices { dir="/dev" filter=["a/sda/", "r/.*/"] }\n', '"a/sda/"'],
    ['of NVMe', 'filter=["a|/dev/nvme0n1p.*|", "r|.*|"]\n', '"a|/dev/nvme0n1p.*|"'],
    [
      'that repeats a group',
      'filter=["a|^/dev/(sd[a-z])*[0-9]*$|", "r|.*|"]\n',
      '"a|^/dev/(sd[a-z])*[0-9]*$|"',
    ],
    ['of many repeats', 'filter=["a|^/+d?e*v+/+s+d+[a-z]+.*|", "r|.*|"]\n', '"a|^/+d?e*v+/+s+d+[a-z]+.*|"'],
    ['of Xen', 'filter=["a|/dev/xvd|", "r|.|"]\n', '"a|/dev/xvd|"'],
  ])('in a filter %s get virtio’s too', (_name, conf, first) => {
    const guest = guestOf({ files: { '/etc/lvm/lvmlocal.conf': conf } });
    const { operations, warnings } = lvm.plan(guest);
    expect(textAfter(operations, '/etc/lvm/lvmlocal.conf')).toBe(
      conf.replace(first, `"a|^/dev/vd|", ${first}`),
    );
    expect(warnings).toMatchObject([{ message: expect.stringMatching(/^lvmlocal.conf accepts only/) }]);
    expect(lvm.plan(applyOperations(guest, operations)).operations).toEqual([]);
  });

  it('in a filter by which volumes differ are carried over one by one', () => {
    const pv = (device: string) => filesystem(device, 'LVM2_member', device);
    const filtered = (conf: string) => {
      const files = { '/etc/lvm/lvm.conf': conf };
      const guest = guestOf({ files, filesystems: [pv('/dev/sda2'), pv('/dev/sdb')] });
      const { operations, warnings } = lvm.plan(guest);
      expect(warnings).toMatchObject([{ code: 'lvm.filter' }]);
      expect(lvm.plan(applyOperations(guest, operations)).operations).toEqual([]);
      return textAfter(operations, '/etc/lvm/lvm.conf');
    };
    expect(filtered('filter = [ "a|^/dev/sda|", "a|drbd|", "r|.*|" ]\n')).toBe(
      'filter = [ "a|^/dev/vda2$|", "a|^/dev/sda|", "a|drbd|", "r|.*|" ]\n',
    );
    expect(filtered('filter = [ "r|^/dev/sdb$|" ]\n')).toBe(
      'filter = [ "r|^/dev/vdb$|", "r|^/dev/sdb$|" ]\n',
    );
  });

  it('in a filter that cannot be evaluated stay, with a warning that names the pattern', () => {
    for (const pattern of ['a|^/dev/(sd|', `a|${'x?'.repeat(200)}|`, 'a/dev']) {
      const files = { '/etc/lvm/lvm.conf': `filter = [ "${pattern}", "r|.*|" ]\n` };
      const { operations, warnings } = lvm.plan(guestOf({ files }));
      expect(operations).toEqual([]);
      expect(warnings).toMatchObject([
        { code: 'lvm.filter-unread', message: expect.stringContaining(`"${pattern.slice(0, 40)}`) },
      ]);
    }
  });

  it('in a list of another name are removed too', () => {
    const files = {
      '/etc/lvm/lvm.conf': 'devices {\n\tuse_devicesfile = 1\n\tdevicesfile = "web.devices"\n}\n',
      '/etc/lvm/devices/web.devices': 'IDTYPE=devname IDNAME=/dev/sda2\n',
    };
    expect(pathsOf(lvm.plan(guestOf({ files })).operations)).toEqual(['/etc/lvm/devices/web.devices']);
  });

  it('in a filter that admits virtio’s, or that is not whole, stay', () => {
    for (const conf of [
      'filter = [ "a|/dev/sd|", "a|/dev/vd|", "r|.*|" ]\n',
      'filter = [ "r|/dev/sdb|" ]\n',
      'filter = [ "a|/dev/sd|", "r|.*|"\n}\n',
      'filter = "a|/dev/sda|"\n',
      'filter = [ "a|/dev/[sv]d|", "r|.*|" ]\n',
      'filter = [ "a|.*|" ]\n',
      'filter = [ "a|/dev/mapper/|", "r|.*|" ]\n',
      'filter = [ "a|((s*)*)*d|", "r|.*|" ]\n',
      'devices { # filter = [ "a|/dev/sd|", "r|.*|" ]\n',
      'thin_filter = [ "a|/dev/sd|", "r|.*|" ]\n',
    ])
      expect(lvm.plan(guestOf({ files: { '/etc/lvm/lvm.conf': conf } })).operations).toEqual([]);
  });

  it('in mdadm.conf are reported, arrays left', () => {
    const files = { '/etc/mdadm/mdadm.conf': 'DEVICE /dev/sd[bc]1\nARRAY /dev/md0 UUID=1:2:3:4\n' };
    expect(mdadm.plan(guestOf({ files }))).toMatchObject({
      operations: [],
      warnings: [{ code: 'mdadm.device' }],
    });
    expect(
      mdadm.plan(guestOf({ files: { '/etc/mdadm/mdadm.conf': 'DEVICE partitions\n' } })).warnings,
    ).toEqual([]);
  });

  it('to resume from get the swap area’s UUID', () => {
    const path = '/etc/initramfs-tools/conf.d/resume';
    const filesystems = [filesystem('/dev/sda5', 'swap', 'swap-uuid')];
    const guest = guestOf({ files: { [path]: 'RESUME=/dev/sda5\n' }, filesystems });
    expect(textAfter(resume.plan(guest).operations, path)).toBe('RESUME=UUID=swap-uuid\n');
    expect(resume.plan(guestOf({ files: { [path]: 'RESUME=none\n' }, filesystems })).operations).toEqual([]);
  });
});

describe('the record of where GRUB is installed', () => {
  const stanza = (name: string, value: string) =>
    `Name: ${name}\nTemplate: ${name}\nValue: ${value}\nOwners: grub-pc\nFlags: seen\nVariables:\n CHOICES = \n\n`;
  const warn = (files: Files) => deviceMap.plan(guestOf({ files })).warnings;
  const answers = '/var/cache/debconf/config.dat';

  it.each([
    ['/dev/sda', '/dev/sda'],
    ['/dev/disk/by-id/scsi-36000c29aaaaaaaaaaaaaaaaaaaaaaaaa', 'scsi-36000c29'],
    ['/dev/vg/boot, /dev/sdb', '/dev/sdb'],
  ])('is reported for debconf’s answer %s', (value, name) => {
    const text = stanza('grub-efi/cloned', '') + stanza('grub-pc/install_devices', value);
    expect(warn({ [answers]: text })).toMatchObject([
      { code: 'boot.install-device', message: expect.stringContaining(name) },
    ]);
  });

  it('is nothing to report without an answer, or with one by a name that stays', () => {
    for (const text of [
      '',
      stanza('grub-pc/install_devices', ''),
      stanza('grub-pc/install_devices', '/dev/mapper/mpatha'),
      stanza('other/install_devices', '/dev/sda'),
      `Name: grub-pc/install_devices\nTemplate: x\n\n${stanza('x/y', '/dev/sda')}`,
    ])
      expect(warn({ [answers]: text })).toEqual([]);
  });

  it('is SUSE’s file, too', () => {
    expect(warn({ '/etc/default/grub_installdevice': '/dev/sda\nactivate\n' })).toMatchObject([
      { code: 'boot.install-device' },
    ]);
  });
});

it('GRUB legacy gets its configuration under the fallback’s own name', () => {
  const files = { '/boot/efi/EFI/redhat/grub.efi': null, '/boot/efi/EFI/redhat/grub.conf': 'title a\n' };
  const { operations } = uefiFallback.plan(guestOf({ files, identity: { firmware: 'uefi' } }));
  expect(pathsOf(operations)).toEqual([
    '/boot/efi/EFI/BOOT/BOOTX64.EFI',
    '/boot/efi/EFI/BOOT/BOOTX64.conf',
    '/boot/efi/EFI/BOOT/grub.conf',
  ]);
});
