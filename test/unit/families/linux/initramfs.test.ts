import { describe, expect, it } from 'vitest';
import { devices } from '../../../../src/families/linux/devices.js';
import { initramfs } from '../../../../src/families/linux/initramfs.js';
import { applyOperations } from '../../../../src/operations/apply-operations.js';
import {
  type Files,
  filesystem,
  type GuestRecipe,
  guestOf,
  kernelOf,
  modulesOf,
  pathsOf,
  textAfter,
  VERSION,
  VMWARE_MODULES,
} from '../guests.js';

const ALL = [
  'failover',
  'net_failover',
  'scsi_mod',
  'virtio',
  'virtio_blk',
  'virtio_net',
  'virtio_pci',
  'virtio_pci_legacy_dev',
  'virtio_pci_modern_dev',
  'virtio_ring',
  'virtio_scsi',
];
const DEBIAN: Files = { '/usr/sbin/update-initramfs': null, '/etc/initramfs-tools/modules': 'vmw_pvscsi\n' };

function plan(recipe: GuestRecipe & { modules?: readonly string[] } = {}) {
  const guest = guestOf({
    ...recipe,
    files: { ...modulesOf(VERSION), ...DEBIAN, ...recipe.files },
    identity: { kernels: [kernelOf(VERSION, recipe.modules ?? VMWARE_MODULES)], ...recipe.identity },
  });
  return { guest, ...initramfs.plan(guest) };
}

describe('initramfs', () => {
  it('appends the missing drivers, their dependencies and the indexes', () => {
    const { operations, warnings } = plan();
    expect(warnings).toEqual([]);
    expect(operations.at(-1)).toEqual({
      op: 'append_initramfs',
      fixer: 'initramfs',
      reason: expect.stringContaining('virtio_blk'),
      path: `/boot/initrd.img-${VERSION}`,
      kernel: VERSION,
      lib: 'usr/lib',
      modules: ALL,
      files: [
        'kernel/drivers/block/virtio_blk.ko',
        'kernel/drivers/net/net_failover.ko',
        'kernel/drivers/net/virtio_net.ko',
        'kernel/drivers/scsi/virtio_scsi.ko',
        'kernel/drivers/virtio/virtio.ko',
        'kernel/drivers/virtio/virtio_pci.ko',
        'kernel/drivers/virtio/virtio_pci_legacy_dev.ko',
        'kernel/drivers/virtio/virtio_pci_modern_dev.ko',
        'kernel/drivers/virtio/virtio_ring.ko',
        'kernel/net/core/failover.ko',
        'modules.alias',
        'modules.alias.bin',
        'modules.builtin',
        'modules.builtin.bin',
        'modules.dep',
        'modules.dep.bin',
        'modules.softdep',
      ].map((file) => `/usr/lib/modules/${VERSION}/${file}`),
    });
  });

  it('does nothing where the drivers are inside already, or built in', () => {
    expect(plan({ modules: [...ALL, 'vmxnet3'] }).operations).toEqual([]);
    const builtin =
      'kernel/drivers/virtio/virtio_pci.ko\nkernel/drivers/block/virtio_blk.ko\nkernel/drivers/scsi/virtio_scsi.ko\nkernel/drivers/virtio/virtio.ko\nkernel/drivers/virtio/virtio_ring.ko\n';
    expect(plan({ files: modulesOf(VERSION, '/usr/lib/modules', '', builtin) }).operations).toEqual([]);
  });

  it('misses a network driver only where the initramfs brings the network up', () => {
    const storage = ALL.filter((name) => !/net|failover/.test(name));
    expect(plan({ modules: storage }).operations).toEqual([]);
    expect(plan({ modules: [...storage, 'vmxnet3'] }).operations.at(-1)).toMatchObject({
      op: 'append_initramfs',
      reason: expect.stringContaining('virtio_net'),
    });
  });

  it('looks at every installed kernel', () => {
    const kernels = ['6.1.0-17-amd64', VERSION, '6.1.0-19-amd64'].map((version, index) =>
      kernelOf(version, index === 1 ? ALL : VMWARE_MODULES),
    );
    const files = Object.assign({}, ...kernels.map(({ version }) => modulesOf(version)));
    const { operations } = plan({ files, identity: { kernels } });
    expect(
      operations.flatMap((operation) => (operation.op === 'append_initramfs' ? [operation.kernel] : [])),
    ).toEqual(['6.1.0-17-amd64', '6.1.0-19-amd64']);
  });

  it('plans nothing the second time', () => {
    const { guest, operations } = plan();
    expect(initramfs.plan(applyOperations(guest, operations))).toEqual({ operations: [], warnings: [] });
  });

  it('reads compressed modules and absolute paths of old depmod', () => {
    const dep = `/lib/modules/${VERSION}/kernel/virtio_pci.ko.xz: /lib/modules/${VERSION}/kernel/virtio.ko.xz\n/lib/modules/${VERSION}/kernel/virtio.ko.xz:\n/lib/modules/${VERSION}/kernel/virtio_blk.ko.xz:\n`;
    const { operations } = plan({ files: modulesOf(VERSION, '/usr/lib/modules', dep) });
    const [append] = operations.slice(-1);
    expect(append?.op === 'append_initramfs' && append.files.filter((file) => file.includes('.ko'))).toEqual(
      ['virtio', 'virtio_blk', 'virtio_pci'].map((name) => `/lib/modules/${VERSION}/kernel/${name}.ko.xz`),
    );
  });

  it('rebuilds when asked to, with the configuration first', () => {
    const { operations } = plan({ options: { initramfs: 'rebuild' } });
    expect(operations.map(({ op }) => op)).toEqual(['write_file', 'rebuild_initramfs']);
    expect(operations[1]).toMatchObject({ command: ['update-initramfs', '-u', '-k', VERSION], modules: ALL });
  });

  it('appends inside a unified image, also when asked to rebuild, as no tool makes that part', () => {
    const path = '/efi/EFI/Linux/a.efi:.initrd';
    const kernel = {
      ...kernelOf(VERSION, VMWARE_MODULES, { path }),
      image: '/efi/EFI/Linux/a.efi',
    };
    const asked = { options: { initramfs: 'rebuild' as const }, identity: { kernels: [kernel] } };
    const { operations, warnings } = plan(asked);
    expect(operations.at(-1)).toMatchObject({ op: 'append_initramfs', path, modules: ALL });
    expect(warnings.map(({ code }) => code)).toEqual(['initramfs.no-tool']);
  });

  it('warns of a kernel without one, but not where it may be in an image that INSPECT has warned of', () => {
    const kernels = [{ ...kernelOf(VERSION, []), initramfs: null }, kernelOf('5.0', VMWARE_MODULES)];
    const codes = (files: Files, unified_images: { path: string; version: null; signed: boolean }[] = []) =>
      plan({ files, identity: { kernels, unified_images } }).warnings.map(({ code }) => code);
    const image = '/efi/EFI/Linux/a.efi';
    expect(codes({ '/efi/EFI/BOOT/BOOTX64.EFI': null })).toContain('initramfs.none');
    expect(codes({ [image]: null }, [{ path: image, version: null, signed: false }])).toContain(
      'initramfs.none',
    );
    expect(codes({ [image]: null })).not.toContain('initramfs.none');
  });

  it('rebuilds a container that cannot be read; without a tool it fails by name', () => {
    const kernels = [kernelOf(VERSION, [], { unreadable: 'no known container at byte 0' })];
    const { operations } = plan({ identity: { kernels } });
    expect(operations.at(-1)).toMatchObject({
      op: 'rebuild_initramfs',
      reason: expect.stringContaining('no known container'),
    });
    expect(() => initramfs.plan(guestOf({ files: modulesOf(VERSION), identity: { kernels } }))).toThrowError(
      expect.objectContaining({ code: 'plan.initramfs-unreadable' }),
    );
  });
});

describe('the drivers stay', () => {
  const drivers = 'virtio_pci virtio_blk virtio_scsi virtio_net';
  const cases: [string, Files, string, string][] = [
    [
      'initramfs-tools',
      DEBIAN,
      '/etc/initramfs-tools/modules',
      `vmw_pvscsi\n${drivers.replaceAll(' ', '\n')}\n`,
    ],
    [
      'dracut',
      { '/usr/bin/dracut': null, '/etc/dracut.conf': '', '/etc/dracut.conf.d/x.conf': '' },
      '/etc/dracut.conf.d/50-hyper2kvm.conf',
      `add_drivers+=" ${drivers} "\n`,
    ],
    [
      'mkinitcpio drop-ins',
      { '/usr/bin/mkinitcpio': null, '/etc/mkinitcpio.conf.d/x.conf': '' },
      '/etc/mkinitcpio.conf.d/50-hyper2kvm.conf',
      `MODULES+=(${drivers})\n`,
    ],
    [
      'mkinitcpio',
      {
        '/usr/bin/mkinitcpio': null,
        '/etc/mkinitcpio.conf': '# MODULES\nMODULES=(vmw_pvscsi)\nHOOKS=(base)\n',
      },
      '/etc/mkinitcpio.conf',
      `# MODULES\nMODULES=(vmw_pvscsi ${drivers})\nHOOKS=(base)\n`,
    ],
    [
      'SUSE',
      { '/sbin/mkinitrd': null, '/etc/sysconfig/kernel': 'INITRD_MODULES="mptspi"\n' },
      '/etc/sysconfig/kernel',
      `INITRD_MODULES="mptspi ${drivers}"\n`,
    ],
    [
      'Alpine',
      { '/sbin/mkinitfs': null, '/etc/mkinitfs/mkinitfs.conf': 'features="ata base ext4"\n' },
      '/etc/mkinitfs/mkinitfs.conf',
      'features="ata base ext4 virtio"\n',
    ],
    [
      'booster',
      { '/usr/bin/booster': null, '/etc/booster.yaml': 'universal: false\nmodules: -*,ext4\n' },
      '/etc/booster.yaml',
      `modules: -*,ext4,${drivers.replaceAll(' ', ',')}\n`,
    ],
    [
      'booster with a comment',
      { '/usr/bin/booster': null, '/etc/booster.yaml': 'modules: "ext4" # mine\n' },
      '/etc/booster.yaml',
      `modules: ext4,${drivers.replaceAll(' ', ',')} # mine\n`,
    ],
    [
      'RHEL 5',
      {
        '/sbin/mkinitrd': null,
        '/etc/modprobe.conf': 'alias scsi_hostadapter mptbase\nalias scsi_hostadapter1 mptspi\n',
      },
      '/etc/modprobe.conf',
      'alias scsi_hostadapter mptbase\nalias scsi_hostadapter1 mptspi\nalias scsi_hostadapter2 virtio_pci\nalias scsi_hostadapter3 virtio_blk\nalias scsi_hostadapter4 virtio_scsi\nalias scsi_hostadapter5 virtio_net\n',
    ],
  ];
  it.each(cases)('with %s', (_, files, path, expected) => {
    const guest = guestOf({
      files: { ...modulesOf(VERSION), ...files },
      identity: { kernels: [kernelOf(VERSION, VMWARE_MODULES)] },
    });
    const { operations } = initramfs.plan(guest);
    expect(pathsOf(operations)).toEqual([path, `/boot/initrd.img-${VERSION}`]);
    expect((textAfter(operations, path) ?? '').endsWith(expected)).toBe(true);
    expect(initramfs.plan(applyOperations(guest, operations)).operations).toEqual([]);
  });
});

it('leaves an initramfs with a list of its own that has the drivers of the disks', () => {
  const modules = ['virtio', 'virtio_ring', 'virtio_pci', 'virtio_pci_legacy_dev', 'virtio_pci_modern_dev'];
  const kernel = kernelOf(VERSION, [...VMWARE_MODULES, ...modules, 'virtio_blk'], { loads: 'listed' });
  for (const tool of [{}, { '/sbin/mkinitrd': null }]) {
    const guest = guestOf({ files: { ...modulesOf(VERSION), ...tool }, identity: { kernels: [kernel] } });
    expect(initramfs.plan(guest)).toEqual({ operations: [], warnings: [] });
  }
});

it('reads booster’s list in time, whatever is in it', () => {
  const text = `modules:${' '.repeat(100_000)}"x"y\n`;
  const files = { ...modulesOf(VERSION), '/usr/bin/booster': null, '/etc/booster.yaml': text };
  const guest = guestOf({ files, identity: { kernels: [kernelOf(VERSION, VMWARE_MODULES)] } });
  expect(textAfter(initramfs.plan(guest).operations, '/etc/booster.yaml')).toMatch(/^modules: x,y,virtio/);
});

describe('devices', () => {
  const choose = (dep: string, builtin = '', kernel = kernelOf(VERSION, [])) =>
    devices.plan(
      guestOf({
        files: modulesOf(VERSION, '/usr/lib/modules', dep, builtin),
        identity: { kernels: [kernel] },
      }),
    );
  const OLD =
    'kernel/drivers/scsi/sd_mod.ko:\nkernel/drivers/ata/ata_piix.ko:\nkernel/drivers/net/e1000.ko:\n';

  it('are virtio for a kernel that has it, and SATA where nothing is known', () => {
    expect(choose('kernel/virtio_pci.ko:\nkernel/virtio_blk.ko:\nkernel/sd_mod.ko:\n').devices).toEqual({
      disk_bus: 'virtio',
      nic_model: 'virtio',
    });
    expect(choose('').devices?.disk_bus).toBe('sata');
  });

  it('are SATA and e1000e, with a warning, for a kernel without virtio; IDE without AHCI', () => {
    expect(choose(`${OLD}kernel/drivers/ata/ahci.ko:\n`)).toMatchObject({
      devices: { disk_bus: 'sata', nic_model: 'e1000e' },
      warnings: [{ code: 'devices.no-virtio' }],
    });
    expect(choose(OLD).devices).toEqual({ disk_bus: 'ide', nic_model: 'e1000' });
  });

  it('are SATA where virtio is a module and there is no initramfs to load it from', () => {
    const kernel = { ...kernelOf(VERSION, []), initramfs: null };
    const builtin = 'kernel/ahci.ko\nkernel/sd_mod.ko\n';
    expect(choose('kernel/virtio_pci.ko:\nkernel/virtio_blk.ko:\n', builtin, kernel).devices?.disk_bus).toBe(
      'sata',
    );
  });
});

describe('copies of configuration inside an initramfs', () => {
  const filesystems = [
    filesystem('/dev/sda1', 'ext4', 'root-uuid', { mountpoint: '/' }),
    filesystem('/dev/sda2', 'swap', 'swap-uuid'),
    filesystem('/dev/sda3', 'crypto_LUKS', 'luks-uuid'),
  ];
  const texts = {
    'cryptroot/crypttab': 'sda3_crypt /dev/sda3 none luks,discard\n',
    'conf/conf.d/zz-resume-auto': 'RESUME=/dev/sda2\n',
    'etc/cmdline.d/95root-dev.conf': ' root=/dev/sda1 rootfstype=ext4\n',
    'etc/lvm/devices/system.devices': 'IDTYPE=sys_wwid IDNAME=naa.6000c29 DEVNAME=/dev/sda3 PVID=x PART=3\n',
    'etc/lvm/devices/web.devices': 'IDTYPE=devname IDNAME=/dev/sda3\n',
    'etc/lvm/lvm.conf': 'devices {\n\tglobal_filter = [ "a|^/dev/sd|",\n\t\t"r|.*|" ]\n}\n',
  };
  const replace = [
    { path: 'cryptroot/crypttab', text: 'sda3_crypt UUID=luks-uuid none luks,discard\n' },
    { path: 'conf/conf.d/zz-resume-auto', text: 'RESUME=UUID=swap-uuid\n' },
    { path: 'etc/cmdline.d/95root-dev.conf', text: ' root=UUID=root-uuid rootfstype=ext4\n' },
    { path: 'etc/lvm/devices/system.devices', text: null },
    { path: 'etc/lvm/devices/web.devices', text: null },
    {
      path: 'etc/lvm/lvm.conf',
      text: 'devices {\n\tglobal_filter = [ "a|^/dev/vd|", "a|^/dev/sd|",\n\t\t"r|.*|" ]\n}\n',
    },
  ];
  const planWith = (modules: readonly string[], options = {}) =>
    plan({ filesystems, options, identity: { kernels: [kernelOf(VERSION, modules, { texts })] } });

  it('are replaced together with the drivers, once', () => {
    const { guest, operations } = planWith(VMWARE_MODULES);
    expect(operations.at(-1)).toMatchObject({ op: 'append_initramfs', replace });
    expect(initramfs.plan(applyOperations(guest, operations)).operations).toEqual([]);
  });

  it('are replaced alone where the drivers are inside already', () => {
    const { operations } = planWith(ALL);
    expect(operations).toMatchObject([{ op: 'append_initramfs', files: [], replace }]);
    expect(operations[0]?.reason).toContain('cryptroot/crypttab');
  });

  it('are the guest’s own tool’s business with fix.initramfs = "rebuild"', () => {
    const { guest, operations } = planWith(ALL, { initramfs: 'rebuild' });
    expect(operations).toMatchObject([{ op: 'rebuild_initramfs' }]);
    expect(initramfs.plan(applyOperations(guest, operations)).operations).toEqual([]);
  });

  it('that name nothing of the old hypervisor stay', () => {
    const stable = { 'etc/crypttab': 'luks-1 UUID=luks-uuid none\n', 'conf/conf.d/resume': 'RESUME=none\n' };
    const kernels = [kernelOf(VERSION, ALL, { texts: stable })];
    expect(plan({ filesystems, identity: { kernels } }).operations).toEqual([]);
  });
});

describe('an initramfs that loads a fixed list of modules', () => {
  const loads = 'listed' as const;
  const listed = kernelOf(VERSION, VMWARE_MODULES, { loads });
  const without = (files: Files, kernels = [listed]) =>
    initramfs.plan(guestOf({ files: { ...modulesOf(VERSION), ...files }, identity: { kernels } }));

  it('is made anew, and needs nothing where the drivers are on the list', () => {
    const { operations, warnings } = plan({ identity: { kernels: [listed] } });
    expect(operations.map(({ op }) => op)).toEqual(['write_file', 'rebuild_initramfs']);
    expect(operations[1]?.reason).toContain('its own list');
    expect(warnings).toEqual([]);
    expect(plan({ identity: { kernels: [kernelOf(VERSION, ALL, { loads })] } }).operations).toEqual([]);
  });

  it('is refused by name in a guest that cannot make it anew', () => {
    expect(() => without({})).toThrowError(expect.objectContaining({ code: 'plan.initramfs-list' }));
  });

  it('is warned of where another kernel starts', () => {
    const other = kernelOf('6.1.0-19-amd64', VMWARE_MODULES);
    const { operations, warnings } = without(modulesOf('6.1.0-19-amd64'), [listed, other]);
    expect(operations).toMatchObject([{ op: 'append_initramfs', kernel: '6.1.0-19-amd64' }]);
    expect(warnings).toMatchObject([{ code: 'initramfs.list' }]);
  });

  it('decides the devices: SATA where its drivers are on the list and nothing can be made anew', () => {
    const guest = (files: Files) =>
      guestOf({
        files: { ...modulesOf(VERSION), ...files },
        identity: { kernels: [kernelOf(VERSION, ['ahci', 'sd_mod'], { loads })] },
      });
    expect(devices.plan(guest({})).devices?.disk_bus).toBe('sata');
    expect(devices.plan(guest(DEBIAN)).devices?.disk_bus).toBe('virtio');
  });
});

it('an initramfs whose init nobody knows is warned of, once it is appended to', () => {
  const loads = 'unknown' as const;
  const { operations, warnings } = plan({ identity: { kernels: [kernelOf(VERSION, [], { loads })] } });
  expect(operations.at(-1)?.op).toBe('append_initramfs');
  expect(warnings).toMatchObject([{ code: 'initramfs.unknown-init' }]);
  expect(plan({ identity: { kernels: [kernelOf(VERSION, ALL, { loads })] } }).warnings).toEqual([]);
});
