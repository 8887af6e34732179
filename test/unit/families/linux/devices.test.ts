import { describe, expect, it } from 'vitest';
import { devices } from '../../../../src/families/linux/devices.js';
import type { Kernel } from '../../../../src/model/identity.js';
import {
  type Files,
  type GuestRecipe,
  guestOf,
  kernelOf,
  MODULES_DEP,
  MODULES_DEP_2_6,
  MODULES_DEP_4_18,
  modulesOf,
} from '../guests.js';

const VIRTIO_1 = { disk_bus: 'virtio', nic_model: 'virtio' };
const TRANSITIONAL = { ...VIRTIO_1, virtio: 'transitional' };

/** A guest with kernels of these versions, whose modules are those of `dep`. */
function planOf(versions: Record<string, string>, more: GuestRecipe = {}) {
  const files = Object.entries(versions).map(([version, dep]) => modulesOf(version, undefined, dep));
  const kernels = Object.keys(versions).map((version) => kernelOf(version, []));
  const own = {
    files: { ...Object.assign({}, ...files), ...more.files },
    identity: { kernels, ...more.identity },
  };
  return devices.plan(guestOf({ ...more, ...own }));
}

describe('virtio devices', () => {
  it.each([
    // CentOS 6, SLES 11, Debian 7, Ubuntu 14.04, SLES 12, Debian 8, Arch of 2014, hand-made.
    '2.6.32-754.el6.x86_64',
    '3.0.101-63-default',
    '3.2.0-4-amd64',
    '3.13.0-170-generic',
    '3.12.28-4-default',
    '3.16.0-4-amd64',
    '3.15.8-1-ARCH',
    'custom',
    // RHEL 7.1; the backport came with 7.2.
    '3.10.0-229.el7.x86_64',
  ])('are transitional for %s', (version) => {
    const { devices: chosen, warnings } = planOf({ [version]: MODULES_DEP_2_6 });
    expect(chosen).toEqual(TRANSITIONAL);
    expect(warnings).toMatchObject([
      { code: 'devices.transitional', message: expect.stringContaining(version) },
    ]);
  });

  it.each([
    ['4.0.0-1-amd64', MODULES_DEP_2_6],
    ['4.18.0-553.el8_10.x86_64', MODULES_DEP_4_18],
    ['6.1.0-18-amd64', MODULES_DEP],
    ['10.0.1', MODULES_DEP_2_6],
    ['3.10.0-327.el7.x86_64', MODULES_DEP_2_6],
    ['3.10.0-1160.119.1.el7.x86_64', MODULES_DEP_2_6],
    // A vendor's kernel of any number that has the driver.
    ['3.4.113-vendor', MODULES_DEP],
  ])('are of virtio 1.0 for %s', (version, dep) => {
    expect(planOf({ [version]: dep })).toEqual({ operations: [], warnings: [], devices: VIRTIO_1 });
  });

  it('are of virtio 1.0 where the driver lists such devices', () => {
    const version = '3.8.13-118.el6uek.x86_64';
    const alias = 'alias pci:v00001AF4d00001041sv*sd*bc*sc*i* virtio_pci\n';
    const files = { [`/usr/lib/modules/${version}/modules.alias`]: alias };
    expect(planOf({ [version]: MODULES_DEP_2_6 }, { files }).devices).toEqual(VIRTIO_1);
  });

  it('are transitional where one kernel of several needs it: the others drive them too', () => {
    const versions = { '3.16.0-4-amd64': MODULES_DEP_2_6, '4.9.0-0.bpo.12-amd64': MODULES_DEP_2_6 };
    const { devices: chosen, warnings } = planOf(versions);
    expect(chosen).toEqual(TRANSITIONAL);
    expect(warnings[0]?.message).toBe(
      'kernel 3.16.0-4-amd64 has no driver for virtio 1.0: the VM gets transitional virtio devices',
    );
  });
});

describe('a rescue image', () => {
  const main = '3.10.0-1160.119.1.el7.x86_64';
  const rescue: Kernel = {
    ...kernelOf('3.10.0-123.el7.x86_64', []),
    image: '/boot/vmlinuz-0-rescue-6d6f',
  };

  it('does not make devices transitional, but is warned of', () => {
    const files = {
      ...modulesOf(main, undefined, MODULES_DEP_2_6),
      ...modulesOf(rescue.version, undefined, MODULES_DEP_2_6),
    };
    const plan = devices.plan(guestOf({ files, identity: { kernels: [kernelOf(main, []), rescue] } }));
    expect(plan.devices).toEqual(VIRTIO_1);
    expect(plan.warnings).toMatchObject([
      { code: 'devices.rescue-kernel', message: expect.stringContaining(rescue.version) },
    ]);
    const alone = devices.plan(guestOf({ files, identity: { kernels: [rescue] } }));
    expect(alone.devices).toEqual(TRANSITIONAL);
  });

  it('does not speak for the kernel that is started', () => {
    const files = {
      ...modulesOf(main, undefined, 'kernel/ahci.ko:\nkernel/sd_mod.ko:\n'),
      ...modulesOf(rescue.version, undefined, MODULES_DEP),
    };
    const plan = devices.plan(guestOf({ files, identity: { kernels: [kernelOf(main, []), rescue] } }));
    expect(plan.devices).toEqual({ disk_bus: 'sata', nic_model: 'e1000e' });
  });
});

it('the kernel of the first boot entry decides, not another that has more drivers', () => {
  const [own, other] = ['5.10.7-mine', '6.1.0-18-amd64'];
  const files: Files = {
    ...modulesOf(own, undefined, 'kernel/ahci.ko:\nkernel/sd_mod.ko:\n'),
    ...modulesOf(other),
  };
  for (const version of [own, other]) files[`/boot/vmlinuz-${version}`] = null;
  const first = (version: string) => {
    files['/boot/grub/grub.cfg'] = `menuentry a {\n linux /boot/vmlinuz-${version} root=/dev/sda1\n}\n`;
    const kernels = [own, other].map((each) => kernelOf(each, []));
    return devices.plan(guestOf({ files, identity: { kernels } })).devices;
  };
  expect(first(own)).toEqual({ disk_bus: 'sata', nic_model: 'e1000e' });
  expect(first(other)).toEqual(VIRTIO_1);
});

it('refuses more IDE disks than a VM has places for', () => {
  const dep = 'kernel/ata_piix.ko:\nkernel/sd_mod.ko:\nkernel/e1000.ko:\n';
  const on = (disks: number) => planOf({ '2.6.16': dep }, { controllers: Array(disks).fill(null) });
  expect(on(4).devices).toEqual({ disk_bus: 'ide', nic_model: 'e1000' });
  expect(() => on(5)).toThrowError(expect.objectContaining({ code: 'plan.too-many-disks' }));
});

describe('a kernel with IDE drivers alone', () => {
  const version = '6.1.0-18-arm64';
  const dep = 'kernel/drivers/ata/ata_piix.ko:\nkernel/drivers/scsi/sd_mod.ko:\n';
  const chosen = (architecture: string) =>
    planOf({ [version]: dep }, { identity: { kernels: [kernelOf(version, [])], architecture } }).devices;

  it('gets IDE disks where there are any: a PC has them, AArch64’s machine has not', () => {
    expect(chosen('x86_64')).toEqual({ disk_bus: 'ide', nic_model: 'e1000' });
    expect(chosen('aarch64')).toEqual(VIRTIO_1);
  });
});

describe('kernels that nothing tells of', () => {
  const image = '/boot/vmlinuz-mine';
  const mine = { version: '5.10.7-mine', image, modules: null, initramfs: null };
  const debian = '6.1.0-18-amd64';
  const grub = (path: string) => ({
    '/boot/grub/grub.cfg': `menuentry a {\n linux ${path} root=/dev/sda1\n}\n`,
  });
  const planWith = (kernels: Kernel[], files: Files = {}) =>
    devices.plan(
      guestOf({ files: { ...modulesOf(debian), [image]: null, ...files }, identity: { kernels } }),
    );

  it.each<[string, Kernel[], Files]>([
    ['its unified image could not be read', [], { '/efi/EFI/Linux/a.efi': null }],
    ['its modules are not installed', [mine], {}],
    ['the boot loader starts it first', [kernelOf(debian, []), mine], grub(image)],
  ])('get SATA disks and a warning where %s', (_, kernels, files) => {
    expect(planWith(kernels, files)).toMatchObject({
      devices: { disk_bus: 'sata', nic_model: 'e1000e' },
      warnings: [{ code: 'devices.unknown-kernel' }],
    });
  });

  it('are warned of where another kernel is started first', () => {
    const plan = planWith([kernelOf(debian, []), mine], {
      [`/boot/vmlinuz-${debian}`]: null,
      ...grub(`/boot/vmlinuz-${debian}`),
    });
    expect(plan.devices).toEqual(VIRTIO_1);
    expect(plan.warnings).toMatchObject([
      { code: 'devices.unknown-kernel', message: expect.stringContaining(`${image} (5.10.7-mine)`) },
    ]);
  });

  it.each<[string, string[], Partial<Kernel>, object]>([
    ['virtio built in', ['sd_mod', 'virtio_blk', 'virtio_pci'], {}, VIRTIO_1],
    ['virtio from before 1.0', ['virtio_blk', 'virtio_pci'], { version: '3.10.108' }, TRANSITIONAL],
    ['AHCI alone', ['ahci', 'sd_mod'], {}, { disk_bus: 'sata', nic_model: 'e1000e' }],
    ['IDE alone', ['ata_piix', 'sd_mod'], {}, { disk_bus: 'ide', nic_model: 'e1000' }],
  ])('are known by their configuration: %s', (_, builtin, more, expected) => {
    expect(planWith([{ ...mine, builtin, ...more }]).devices).toEqual(expected);
  });

  it('are known by what is in their initramfs', () => {
    const { initramfs } = kernelOf(mine.version, ['virtio_blk', 'virtio_pci']);
    expect(planWith([{ ...mine, initramfs }])).toEqual({ operations: [], warnings: [], devices: VIRTIO_1 });
  });
});

it('stay SATA with LILO, whose map is of the day that it was run', () => {
  const identity = { bootloader: 'lilo', kernels: [kernelOf('6.1.0-18-amd64', [])] } as const;
  const plan = devices.plan(
    guestOf({
      files: modulesOf('6.1.0-18-amd64'),
      identity: { ...identity, kernels: [...identity.kernels] },
    }),
  );
  expect(plan).toMatchObject({ devices: { disk_bus: 'sata' }, warnings: [{ code: 'boot.lilo' }] });
});
