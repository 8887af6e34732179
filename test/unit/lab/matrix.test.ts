import { describe, expect, test } from 'vitest';
import { type LinuxIdentity, linuxIdentitySchema } from '../../../src/model/identity.js';
import { applianceScript, canMakeOnHost, listingScript } from '../../lab/appliance-image.ts';
import type { LabReport } from '../../lab/boot.ts';
import { rootArguments } from '../../lab/boot-loaders.ts';
import type { BuiltGuest } from '../../lab/guest.ts';
import { filesystemAt, filesystemsOf, layOut } from '../../lab/layout.ts';
import { lostOf } from '../../lab/matrix-as-is.ts';
import { inspectorDifferences, systemsOf } from '../../lab/matrix-inspector.ts';
import { judge, type Observed } from '../../lab/matrix-judge.ts';
import { MATRIX, MATRIX_IN_TESTS } from '../../lab/matrix-recipes.ts';
import { matrixTable } from '../../lab/matrix-table.ts';
import { listingDifferences } from '../../lab/matrix-twice.ts';
import { errorText } from '../../lab/matrix-v2v.ts';
import { type GuestRecipe, RECIPES } from '../../lab/recipes.ts';
import { withDiskNames } from '../../lab/run-in-appliance.ts';
import { vmxText } from '../../lab/vmx-text.ts';

const all: readonly GuestRecipe[] = [...Object.values(RECIPES), ...MATRIX];
const recipe = (name: string) => {
  const found = all.find((candidate) => candidate.name === name);
  if (found === undefined) throw new RangeError(name);
  return found;
};

describe('the matrix', () => {
  const rows: Record<string, (guest: GuestRecipe) => readonly string[]> = {
    release: ({ release }) => [release],
    firmware: ({ firmware }) => [firmware],
    loader: ({ loader = 'grub' }) =>
      loader === 'systemd-boot-unified' ? ['systemd-boot', 'unified'] : [loader],
    filesystem: (guest) => filesystemsOf(guest).map(({ filesystem }) => filesystem),
    storage: ({ volumes }) => (volumes === undefined ? ['plain'] : volumes.map(({ kind }) => kind)),
    initramfs: ({ initramfs }) => [initramfs.tool],
    network: ({ network }) => [network.backend],
    addresses: ({ network }) => [network.static === undefined ? 'dhcp' : 'static'],
    disks: ({ disks }) => [String(disks.length)],
  };
  const wanted: Record<string, readonly string[]> = {
    release: ['bullseye', 'bookworm', 'trixie'],
    firmware: ['bios', 'uefi'],
    loader: ['grub', 'systemd-boot', 'unified', 'extlinux'],
    filesystem: ['ext4', 'xfs', 'btrfs', 'swap'],
    storage: ['plain', 'lvm', 'luks', 'md'],
    initramfs: ['initramfs-tools', 'dracut'],
    network: ['ifupdown', 'NetworkManager', 'networkd', 'netplan'],
    addresses: ['dhcp', 'static'],
    disks: ['1', '2'],
  };

  test('has at least twelve guests, and each value of each row in two of them', () => {
    expect(all.length).toBeGreaterThanOrEqual(12);
    for (const [row, values] of Object.entries(wanted))
      for (const value of values)
        expect(
          all.filter((guest) => rows[row]?.(guest).includes(value)).length,
          `${row} ${value}`,
        ).toBeGreaterThan(1);
  });

  test('has each value in the guests that the tests run', () => {
    const tested: readonly GuestRecipe[] = [...Object.values(RECIPES), ...Object.values(MATRIX_IN_TESTS)];
    for (const [row, values] of Object.entries(wanted))
      for (const value of values)
        expect(
          tested.some((guest) => rows[row]?.(guest).includes(value)),
          `${row} ${value}`,
        ).toBe(true);
  });

  test('gives each guest a name, a MAC and filesystems of its own', () => {
    const distinct = (values: readonly string[]) => expect(new Set(values).size).toBe(values.length);
    distinct(all.map(({ name }) => name));
    distinct(all.map(({ network }) => network.mac));
    distinct(all.flatMap((guest) => [...new Set(filesystemsOf(guest).map(({ uuid }) => uuid))]));
  });
});

describe('applianceScript', () => {
  test('builds volumes from the bottom up and takes them apart from the top', () => {
    const script = applianceScript(recipe('bookworm-bios-luks-lvm'));
    const order = [
      'cryptsetup open',
      'pvcreate -q -y /dev/mapper/sda2_crypt',
      'lvcreate',
      'mkfs.ext4',
      'tar -xpf /dev/sdb',
      'umount -R',
      'vgchange -q -an crypt-vg',
      'cryptsetup close',
    ];
    const places = order.map((part) => script.indexOf(part));
    expect(places.every((place) => place >= 0)).toBe(true);
    expect(places).toEqual([...places].sort((a, b) => a - b));
  });

  test('leaves copies of a btrfs root behind that are no root', () => {
    const script = applianceScript(recipe('bookworm-bios-btrfs'));
    expect(script).toContain('btrfs subvolume create /sysroot/@home');
    expect(script).toMatch(/snapshot \/top\/@ \/top\/@apt-snapshot/);
  });

  test('is not needed for ext4 on partitions', () => {
    expect(canMakeOnHost(RECIPES['bookworm-uefi'])).toBe(true);
    expect(all.filter((guest) => !canMakeOnHost(guest)).length).toBeGreaterThan(8);
  });
});

test('a script finds its disks by their number, whatever the kernel calls them', () => {
  expect(withDiskNames('mkfs /dev/sda2; tar -xf /dev/sdb')).toBe(
    [
      'disk_a=/dev/$(basename /sys/class/scsi_device/*:0:0:0/device/block/sd*)',
      'disk_b=/dev/$(basename /sys/class/scsi_device/*:0:1:0/device/block/sd*)',
      // biome-ignore lint/suspicious/noTemplateCurlyInString: the shell's
      'mkfs ${disk_a}2; tar -xf ${disk_b}',
    ].join('\n'),
  );
});

describe('listingScript', () => {
  test('opens what the guest is on, reads only, and leaves timestamps out', () => {
    const script = listingScript(recipe('bookworm-bios-luks-lvm'));
    expect(script).toMatch(/cryptsetup open[^;]* sda2_crypt\n.*vgchange/s);
    expect(script).toContain('mount -t ext4 -o ro /dev/mapper/crypt--vg-root /sysroot');
    expect(script).toContain('> /dev/sdb');
    expect(script).not.toMatch(/%[TACt]/);
  });
  test('differences are named by the run they stand in', () => {
    expect(listingDifferences(['a\tf 644', 'b\tf 644'], ['a\tf 644', 'b\tf 600'])).toEqual([
      'first only: b\tf 644',
      'second only: b\tf 600',
    ]);
    expect(listingDifferences(['a'], ['a'])).toEqual([]);
  });
});

test('a dracut guest names the array of its root on the command line', () => {
  expect(rootArguments(recipe('trixie-uefi-md-dracut'))).toMatch(
    /^root=\/dev\/md0 rd\.md\.uuid=([0-9a-f]{8}:){3}[0-9a-f]{8}$/,
  );
  expect(rootArguments(recipe('bookworm-bios-md'))).toBe('root=/dev/md0');
});

describe('virt-v2v', () => {
  test('is told disks, firmware and MAC in VMware’s own file', () => {
    const text = vmxText(recipe('trixie-uefi-md-dracut'));
    expect(text).toContain('scsi0:1.fileName = "disk1.vmdk"');
    expect(text).toContain('firmware = "efi"');
    expect(text).toContain(`ethernet0.address = "${recipe('trixie-uefi-md-dracut').network.mac}"`);
  });

  test('is told of a card that the guest does not configure first, in the later slot', () => {
    const guest = recipe('bookworm-bios-cloud-init-two-nics');
    const text = vmxText(guest);
    expect(text).toContain(`ethernet0.address = "${guest.network.other}"`);
    expect(text).toContain('ethernet0.pciSlotNumber = "224"');
    expect(text).toContain(`ethernet1.address = "${guest.network.mac}"`);
    expect(text).toContain('ethernet1.pciSlotNumber = "192"');
  });

  test('is quoted with its last error', () => {
    const stderr =
      'virt-v2v: warning: x\nvirt-v2v: error: inspection could not detect the\nsource guest\n\nIf reporting bugs, run virt-v2v with …\n';
    expect(errorText(stderr)).toBe('inspection could not detect the source guest');
  });
});

/** What INSPECT says of a guest when it is right. */
function identityOf(guest: GuestRecipe): LinuxIdentity {
  const partitions = layOut(guest).map(({ partitions: parts }, disk) => ({
    disk,
    scheme: 'mbr',
    partitions: parts.map(({ number, offset, size }) => ({
      ...{ number, start: offset, size, type: '0x83', bootable: false, partuuid: null },
    })),
  }));
  const filesystems = filesystemsOf(guest).map(({ uuid, filesystem, mount, device }) => ({
    ...{ uuid, type: filesystem, mountpoint: mount, device, label: null, size: 1, disk: null },
    ...{ partition: null, partuuid: null, partlabel: null, parttype: null },
  }));
  const initramfs = { path: '/boot/i', size: 1, segments: [], modules: [], lib: 'lib', unreadable: null };
  return linuxIdentitySchema.parse({
    ...{ os_type: 'linux', os_distro: 'debian', os_version: '12', os_name: 'Debian', selinux: false },
    ...{ firmware: 'bios', bootloader: 'grub2', init_system: 'systemd', architecture: 'x86_64' },
    ...{ network_manager: [guest.network.backend], hostname: guest.name, package_manager: 'apt' },
    ...{ initramfs_tool: 'initramfs-tools', vmware_tools: 'open-vm-tools', encrypted: false },
    ...{ kernels: [{ version: '6', image: '/boot/k', modules: '/lib/modules/6', initramfs }], partitions },
    ...{ filesystems, mounts: [], root: filesystemAt(guest, '/').device },
  });
}

describe('judge and table', () => {
  const guest = recipe('bookworm-bios-lvm-static');
  const planned = (operations: unknown[]) => JSON.stringify({ operations });
  const right: Observed = {
    asItIs: { works: false, what: 'initramfs shell' },
    second: planned([]),
    bundle: {
      directory: '/x',
      error: null,
      report: {
        stages: [
          { stage: 'fix', seconds: 3, appliance_launches: 0 },
          { stage: 'validate', seconds: 60, appliance_launches: 0 },
        ],
        identity: identityOf(guest),
        boot: {
          ...{
            verdict: 'booted',
            warnings: [],
            level: 'login',
            seconds: 61,
            accelerator: 'tcg',
            firmware: 'bios',
            attempts: 1,
          },
          ...{ command_line: [], failure: null, evidence: [], screens: [], evidence_changes: [] },
          guest: {
            addresses: ['10.0.2.77'],
            mounts: ['/', '/boot', '/srv'].map((mountpoint) => ({ device: 'x', mountpoint, type: 'ext4' })),
            ...{ missing_mounts: [], swaps: ['/dev/dm-2'], failed_units: [] },
          },
        },
      },
    },
  };
  const withIdentity = (change: object): Observed => {
    const copy = structuredClone(right);
    Object.assign(copy.bundle.report?.identity ?? {}, change);
    return copy;
  };
  const withGuest = (change: object): Observed => {
    const copy = structuredClone(right);
    Object.assign(copy.bundle.report?.boot?.guest ?? {}, change);
    return copy;
  };

  test('finds nothing wrong with a guest that came over whole', () => {
    const result = judge(guest, right);
    expect(result).toMatchObject({ faults: [], convertSeconds: 3, bootSeconds: 61 });
    const row = {
      recipe: guest,
      result,
      twice: null,
      peer: null,
      inspector: null,
      seenWith: 'abc, 2026-11-23',
    };
    expect(matrixTable([row])).toContain(
      '| initramfs shell | booted, login | 3 | 61 | nothing |  | abc, 2026-11-23 | not run |  |',
    );
  });

  test('says how virt-v2v fared, and what its result has lost', () => {
    const row = { recipe: guest, result: null, twice: null, inspector: null, seenWith: '' };
    const peer = { seconds: 200, error: null, stopped: null };
    const state = { addresses: [], mounts: ['/', '/boot', '/srv'], swaps: ['/dev/dm-2'], failed_units: [] };
    const table = matrixTable([{ ...row, peer: { ...peer, state } }]);
    expect(table).toContain('booted, **not as before** | 200 |');
    expect(table).toContain('no address instead of 10.0.2.77');
    const stopped = { ...peer, state: null, stopped: 'initramfs-shell, at level kernel' };
    expect(matrixTable([{ ...row, peer: stopped }])).toMatch(/does not boot \| 200 \|.*initramfs-shell/s);
  });

  test.each([
    [
      'another address',
      withGuest({ addresses: ['10.0.2.15'] }),
      /addresses 10\.0\.2\.15 instead of 10\.0\.2\.77/,
    ],
    ['a lost mount', withGuest({ mounts: [] }), /not mounted: .*\/srv/],
    ['no swap', withGuest({ swaps: [] }), /0 swap areas/],
    ['a failed unit', withGuest({ failed_units: ['a.service'] }), /failed: a\.service/],
    ['a guest that works as it is', { ...right, asItIs: { works: true, what: 'works' } }, /proves nothing/],
    ['another release', withIdentity({ os_version: '13' }), /os_version is 13 instead of 12/],
    ['a root that it is not', withIdentity({ root: '/dev/sda1' }), /root is \/dev\/sda1/],
    ['a filesystem that was not seen', withIdentity({ filesystems: [] }), /lacks xfs of \/srv/],
    ['partitions that were not seen', withIdentity({ partitions: [] }), /disk 1 are nothing/],
    ['a kernel that was not seen', withIdentity({ kernels: [] }), /kernels has 0/],
    [
      'a second plan',
      { ...right, second: planned([{ fixer: 'lvm', path: '/x' }]) },
      /planned again: lvm \/x/,
    ],
    ['one of several boots', { ...right, boots: [[], ['no network']] }, /^boot 2: no network$/],
  ])('names %s', (_, observed, fault) => {
    expect(judge(guest, observed).faults.join('\n')).toMatch(fault);
  });
});

describe('drivers before FIX', () => {
  const virtio = { kernels: [{ version: '6', initramfs: { path: '/boot/i', modules: ['virtio_blk'] } }] };
  const faultsOf = (name: string) =>
    judge(recipe(name), {
      asItIs: { works: false, what: 'initramfs shell' },
      second: '',
      bundle: {
        directory: null,
        error: { code: 'x', message: 'x', advice: '', retryable: false, causes: [] },
        report: {
          stages: [],
          identity: { ...identityOf(recipe(name)), ...virtio } as LinuxIdentity,
          boot: null,
        },
      },
    }).faults.join('\n');

  test('prove nothing in a guest that VMware left without them', () => {
    expect(faultsOf('bookworm-bios-lvm-static')).toContain('has virtio_blk before FIX');
  });

  test('are there where something else is wrong', () => {
    expect(faultsOf('bookworm-bios-lvm-filter')).not.toContain('has virtio_blk before FIX');
  });
});

describe('what a guest has lost', () => {
  const guest = recipe('bookworm-bios-cloud-init-two-nics');
  const other = guest.network.other ?? '';
  const built = { recipe: guest, sshHostKey: 'AAAA' } as BuiltGuest;
  const report: LabReport = {
    ...{ lab: 1, addresses: ['ens192=10.0.2.77/24'], mounts: ['/'], swaps: [], failed: [], kernel: '6.1' },
    ...{ mac: guest.network.mac, ssh_host_key: 'AAAA' },
  };

  test.each([
    ['nothing', {}, []],
    ['its network', { addresses: [] }, ['no network']],
    [
      'its address',
      { addresses: ['enp0s3=10.0.2.15/24'] },
      ['enp0s3=10.0.2.15/24 instead of ens192=10.0.2.77/24'],
    ],
    ['its card', { mac: other }, ['the wrong network']],
    ['its instance', { ssh_host_key: 'BBBB' }, ['another SSH host key']],
  ])('%s', (_, change, lost) => {
    expect(lostOf(built, { ...report, ...change })).toEqual(lost);
  });
});

describe('virt-inspector beside INSPECT', () => {
  const system = (root: string, uuid: string) => `<operatingsystem>
    <root>${root}</root><name>linux</name><arch>x86_64</arch><distro>debian</distro><product_name>12.15</product_name>
    <major_version>12</major_version><minor_version>15</minor_version><package_format>deb</package_format>
    <package_management>apt</package_management><hostname>web01</hostname><osinfo>debian12</osinfo>
    <mountpoints><mountpoint dev="${root}">/</mountpoint></mountpoints>
    <filesystems><filesystem dev="${root}"><type>btrfs</type><uuid>${uuid}</uuid></filesystem></filesystems>
  </operatingsystem>`;
  const xml = (...systems: string[]) =>
    Buffer.from(`<?xml version="1.0"?><operatingsystems>${systems.join('')}</operatingsystems>`);
  const identity = {
    ...{ os_distro: 'debian', os_version: '12', architecture: 'x86_64', hostname: 'web01' },
    package_manager: 'apt',
    filesystems: [{ device: '/dev/sda1', type: 'btrfs', uuid: 'aaaa', mountpoint: '/' }],
  } as unknown as LinuxIdentity;

  test('agrees on one system, whatever the two call its volumes', () => {
    const systems = systemsOf(xml(system('btrfsvol:/dev/sda1/@', 'aaaa')));
    expect(systems).toHaveLength(1);
    expect(inspectorDifferences(identity, systems)).toEqual([]);
  });

  test('tells a snapshot that passes for a system, and each field that differs', () => {
    const systems = systemsOf(
      xml(system('btrfsvol:/dev/sda1/@', 'bbbb'), system('btrfsvol:/dev/sda1/old', 'aaaa')),
    );
    expect(inspectorDifferences({ ...identity, hostname: 'web02' }, systems)).toEqual([
      'virt-inspector finds 2 systems, INSPECT one',
      'host name: “web02”; virt-inspector: “web01”',
      'at /: “aaaa”; virt-inspector: “bbbb”',
    ]);
    const boot = {
      device: '/dev/sda2',
      type: 'ext4',
      uuid: 'cccc',
      mountpoint: '/boot',
    } as LinuxIdentity['filesystems'][number];
    const filesystems = [...identity.filesystems, boot];
    expect(
      inspectorDifferences({ ...identity, filesystems }, systemsOf(xml(system('/dev/sda1', 'aaaa')))),
    ).toEqual(['virt-inspector cannot tell what fstab mounts at /boot']);
    expect(inspectorDifferences(identity, [])).toEqual(['virt-inspector finds no operating system']);
  });
});
