import { describe, expect, it } from 'vitest';
import { driverExclusions } from '../../../../src/families/linux/driver-exclusions.js';
import { initramfs } from '../../../../src/families/linux/initramfs.js';
import { S_IFREG, writeNewc } from '../../../../src/guest/cpio.js';
import { listInitramfs } from '../../../../src/guest/initramfs-listing.js';
import { applyOperations } from '../../../../src/operations/apply-operations.js';
import {
  type Files,
  guestOf,
  kernelOf,
  modulesOf,
  pathsOf,
  textAfter,
  VERSION,
  VMWARE_MODULES,
} from '../guests.js';

const guest = (files: Files, texts: Record<string, string> = {}) =>
  guestOf({
    files: { ...modulesOf(VERSION), '/usr/bin/dracut': null, '/etc/dracut.conf.d/a.conf': '', ...files },
    identity: { kernels: [kernelOf(VERSION, VMWARE_MODULES, { texts })] },
  });

/** What the file becomes, the warnings' codes, and that nothing is left to do. */
function planned(path: string, text: string) {
  const before = guest({ [path]: text });
  const { operations, warnings } = driverExclusions.plan(before);
  expect(driverExclusions.plan(applyOperations(before, operations))).toEqual({
    operations: [],
    warnings: [],
  });
  return [textAfter(operations, path), ...warnings.map(({ code }) => code)];
}

describe('dracut’s omit_drivers', () => {
  const path = '/etc/dracut.conf.d/90-vmware.conf';
  it.each([
    ['omit_drivers+=" virtio virtio_blk floppy "\n', 'omit_drivers+="   floppy "\n'],
    ["omit_drivers='virtio-blk'\n", "omit_drivers=''\n"],
    ['omit_drivers=virtio_net # none here\n', 'omit_drivers= # none here\n'],
    [
      'hostonly=yes\nomit_drivers+=" \\\n virtio_pci \\\n floppy "\n',
      'hostonly=yes\nomit_drivers+=" \\\n  \\\n floppy "\n',
    ],
    ['omit_drivers+=" virtio_.* .*virtio.* virtio* floppy "\n', 'omit_drivers+="    floppy "\n'],
    ['omit_drivers+=" failover virtio_ring "\n', 'omit_drivers+="   "\n'],
  ])('loses what the VM needs: %j', (text, expected) => {
    expect(planned(path, text)).toEqual([expected, 'boot.driver-excluded']);
  });

  it.each([
    'omit_drivers+=" floppy nouveau "\n',
    '#omit_drivers+=" virtio_blk "\n',
    'add_drivers+=" virtio_blk "\n',
  ])('stays as it is: %j', (text) => expect(planned(path, text)).toEqual([undefined]));

  it('is looked for in every file, and a package’s is replaced by one in /etc', () => {
    const text = 'omit_drivers+=" virtio_blk "\n';
    const files = {
      '/etc/dracut.conf': text,
      '/etc/dracut.conf.d/b.conf': text,
      '/etc/dracut.conf.d/note.txt': text,
      '/usr/lib/dracut/dracut.conf.d/b.conf': text,
      '/usr/lib/dracut/dracut.conf.d/c.conf': text,
    };
    const { operations, warnings } = driverExclusions.plan(guest(files));
    expect(pathsOf(operations)).toEqual([
      '/etc/dracut.conf',
      '/etc/dracut.conf.d/b.conf',
      '/etc/dracut.conf.d/c.conf',
    ]);
    expect(warnings.map(({ message }) => message.split(' ')[0])).toEqual([
      '/etc/dracut.conf',
      '/etc/dracut.conf.d/b.conf',
      '/usr/lib/dracut/dracut.conf.d/c.conf',
    ]);
  });

  it('is not all: parts of dracut that are left out are named', () => {
    const files = { '/etc/dracut.conf.d/b.conf': 'omit_dracutmodules+=" plymouth kernel-modules "\n' };
    expect(driverExclusions.plan(guest(files))).toMatchObject({
      operations: [],
      warnings: [{ code: 'boot.dracut-module', message: expect.stringContaining('kernel-modules') }],
    });
    const none = { '/etc/dracut.conf.d/b.conf': 'omit_dracutmodules+=" plymouth kernel-modules-extra "\n' };
    expect(driverExclusions.plan(guest(none)).warnings).toEqual([]);
  });
});

describe('modprobe’s rules', () => {
  const path = '/etc/modprobe.d/hardening.conf';
  it.each([
    ['blacklist virtio_blk\nblacklist floppy\n', '#blacklist virtio_blk\nblacklist floppy\n'],
    ['  blacklist virtio-pci # no\n', '#  blacklist virtio-pci # no\n'],
    ['install virtio_net /bin/true\n', '#install virtio_net /bin/true\n'],
    ['install virtio* /bin/false\n', '#install virtio* /bin/false\n'],
    ['alias virtio_blk off\n', '#alias virtio_blk off\n'],
  ])('become comments: %j', (text, expected) => {
    expect(planned(path, text)).toEqual([expected, 'boot.driver-excluded']);
  });

  it.each([
    'install virtio_net /sbin/modprobe --ignore-install virtio_net; /usr/bin/tune\n',
    'options virtio_net napi_tx=0\n',
    'blacklist virtio_balloon\ninstall usb-storage /bin/true\n',
    '#blacklist virtio_blk\n',
    'alias eth0 virtio_net\n',
  ])('stay: %j', (text) => expect(planned(path, text)).toEqual([undefined]));

  it('are found in every place', () => {
    const text = 'blacklist virtio_blk\n';
    const files = {
      ...{ '/etc/modprobe.conf': text, '/etc/modprobe.d/blacklist': text },
      '/usr/lib/modprobe.d/vendor.conf': text,
      '/usr/lib/modprobe.d/hidden.conf': text,
      '/etc/modprobe.d/hidden.conf': '',
    };
    expect(pathsOf(driverExclusions.plan(guest(files)).operations)).toEqual([
      '/etc/modprobe.conf',
      '/etc/modprobe.d/blacklist',
      '/etc/modprobe.d/vendor.conf',
    ]);
  });
});

describe('the kernel’s command line', () => {
  const path = '/boot/grub2/grub.cfg';
  it.each([
    ['root=UUID=x rd.driver.blacklist=virtio_blk quiet', 'root=UUID=x quiet'],
    ['modprobe.blacklist=floppy,virtio_net,nouveau', 'modprobe.blacklist=floppy,nouveau'],
    ['rdblacklist=virtio-pci module_blacklist=virtio_blk,virtio_pci ro', 'ro'],
    ['ro blacklist=virtio_scsi', 'ro '],
  ])('loses what the VM needs: %j', (args, expected) => {
    expect(planned(path, `linux /vmlinuz ${args}\n`)).toEqual([
      `linux /vmlinuz ${expected}\n`,
      'boot.driver-excluded',
    ]);
  });

  it('keeps the rest', () => {
    expect(planned(path, 'linux /vmlinuz rd.driver.blacklist=nouveau x.blacklist=virtio_blk\n')).toEqual([
      undefined,
    ]);
  });

  it('is changed in its sources too', () => {
    const args = 'modprobe.blacklist=virtio_blk';
    const files = {
      '/etc/kernel/cmdline': `root=UUID=x ${args}\n`,
      '/etc/default/grub': `GRUB_CMDLINE_LINUX="${args} ro"\n`,
      '/boot/loader/entries/a.conf': `options ro ${args}\n`,
    };
    expect(pathsOf(driverExclusions.plan(guest(files)).operations).sort()).toEqual(Object.keys(files).sort());
  });
});

describe('copies inside an initramfs', () => {
  const texts = {
    'etc/modprobe.d/hardening.conf': 'options scsi_mod x=1\nblacklist virtio_blk\n',
    'etc/cmdline.d/20-opts.conf': ' rd.driver.blacklist=virtio_blk rd.md=0\n',
  };
  const replaced = {
    'etc/modprobe.d/hardening.conf': 'options scsi_mod x=1\n#blacklist virtio_blk\n',
    'etc/cmdline.d/20-opts.conf': ' rd.md=0\n',
  };

  it('are replaced with the drivers', () => {
    const { operations } = initramfs.plan(guest({}, texts));
    expect(operations.at(-1)).toMatchObject({
      op: 'append_initramfs',
      replace: Object.entries(replaced).map(([path, text]) => ({ path, text })),
    });
  });

  it('are listed before and after, and rules of other drivers are not', async () => {
    const list = async (files: Record<string, string>) => {
      const entries = Object.entries(files).map(([path, text]) => ({
        path,
        mode: S_IFREG | 0o644,
        data: Buffer.from(text),
      }));
      return (await listInitramfs(writeNewc(entries), new AbortController().signal)).texts;
    };
    expect(await list(texts)).toEqual(texts);
    expect(await list(replaced)).toEqual(replaced);
    expect(await list({ 'usr/lib/modprobe.d/x.conf': 'blacklist nouveau\n' })).toEqual({});
  });
});
