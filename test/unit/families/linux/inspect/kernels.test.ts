import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { imageCandidates, kernelFiles } from '../../../../../src/families/linux/inspect/kernel-files.js';
import { readKernels } from '../../../../../src/families/linux/inspect/kernels.js';
import { bootImages } from '../../../../../src/guest/boot-images.js';
import { guestOfFiles, type MemoryFiles, memoryGuest } from '../../../access/memory-guest.js';
import { bzImage } from '../../../guest/kernels.js';
import { type Files, treeOf } from '../../guests.js';

const VERSION = '6.1.0-18-amd64';
const ROOT = '/usr/lib/modules';
const MODULES = `${ROOT}/${VERSION}`;
const { signal } = new AbortController();

/** Kernels of a guest whose images say these versions, all others none. */
function filesOf(files: Files, versions: Record<string, string> = {}) {
  const tree = treeOf(files);
  const boot = bootImages(tree);
  const images = imageCandidates(tree, ROOT, boot).map((path) => [path, versions[path] ?? null] as const);
  return kernelFiles(tree, ROOT, new Map(images), boot);
}
const of = (files: Files) =>
  filesOf({ [`${MODULES}/modules.dep`]: '', ...files }).map(({ image, initramfs }) => ({ image, initramfs }));
const boot = { [`/boot/vmlinuz-${VERSION}`]: null, [`/boot/initrd.img-${VERSION}`]: null };
const own = { image: `/boot/vmlinuz-${VERSION}`, initramfs: `/boot/initrd.img-${VERSION}` };

describe('kernels by their names', () => {
  it('are the one in /boot and the copy beside it that systemd-boot starts', () => {
    const entry = `/boot/efi/0123abcd/${VERSION}`;
    expect(of({ ...boot, [`${entry}/linux`]: null, [`${entry}/initrd.img-${VERSION}`]: null })).toEqual([
      own,
      { image: `${entry}/linux`, initramfs: `${entry}/initrd.img-${VERSION}` },
    ]);
  });

  it('are both where an entry names the copy: it is made again from the original', () => {
    const entry = `/boot/efi/0123abcd/${VERSION}`;
    const linux = `/0123abcd/${VERSION}/linux`;
    const initrd = `/0123abcd/${VERSION}/initrd.img-${VERSION}`;
    const files = {
      ...boot,
      ...{
        [`/boot/efi${linux}`]: null,
        [`/boot/efi${initrd}`]: null,
        '/boot/efi/EFI/BOOT/BOOTX64.EFI': null,
      },
      [`/boot/efi/loader/entries/0123abcd-${VERSION}.conf`]: `linux ${linux}\ninitrd ${initrd}\n`,
    };
    expect(of(files)).toEqual([
      own,
      { image: `${entry}/linux`, initramfs: `${entry}/initrd.img-${VERSION}` },
    ]);
  });

  it('are one where it is only in its entry’s directory', () => {
    const entry = `/efi/fedora/${VERSION}`;
    expect(of({ [`${entry}/linux`]: null, [`${entry}/initrd`]: null })).toEqual([
      { image: `${entry}/linux`, initramfs: `${entry}/initrd` },
    ]);
  });

  it('are none where only modules were left behind', () => {
    expect(of({})).toEqual([]);
    expect(of(boot)).toEqual([own]);
  });
});

describe('what an entry starts', () => {
  it('is on the ESP that systemd-boot reads, not the original in /boot', () => {
    const files = {
      ...{
        '/boot/vmlinuz-linux': null,
        '/boot/initramfs-linux.img': null,
        '/efi/EFI/BOOT/BOOTX64.EFI': null,
      },
      ...{ '/efi/vmlinuz-linux': null, '/efi/initramfs-linux.img': null },
      '/efi/loader/entries/arch.conf': 'linux /vmlinuz-linux\ninitrd /initramfs-linux.img\n',
    };
    expect(bootImages(treeOf(files))).toEqual([
      { image: '/efi/vmlinuz-linux', initramfs: '/efi/initramfs-linux.img', isStarted: true },
    ]);
  });

  it.each([
    ['/boot/loader/entries/a.conf', 'initrd /initrd-1\nlinux /vmlinuz-1\n'],
    ['/boot/extlinux/extlinux.conf', 'LABEL a\n INITRD /initrd-1\n LINUX /vmlinuz-1\n'],
    ['/boot/extlinux/extlinux.conf', 'LABEL a\n APPEND initrd=/initrd-1 ro\n KERNEL /vmlinuz-1\n'],
  ])('has its initramfs before or after its kernel: %s %j', (path, text) => {
    const files = { '/boot/vmlinuz-1': null, '/boot/initrd-1': null, [path]: text };
    expect(bootImages(treeOf(files))).toEqual([
      { image: '/boot/vmlinuz-1', initramfs: '/boot/initrd-1', isStarted: true },
    ]);
  });

  it('is looked for in no more time where hundreds of entries lead to nothing', () => {
    const dead = (number: number) =>
      `menuentry 'x' {\n linux "/@/.snapshots/${number}/snapshot/boot/vmlinuz-linux"\n}\n`;
    const names = Array.from({ length: 1500 }, (_, number) => [`/boot/grub/i386-pc/${number}.mod`, null]);
    const entries = Array.from({ length: 2000 }, (_, number) => dead(number)).join('');
    const tree = treeOf({ ...Object.fromEntries(names), '/boot/grub/grub-btrfs.cfg': entries });
    const start = process.cpuUsage();
    expect(bootImages(tree)).toEqual([]);
    const { user } = process.cpuUsage(start);
    // Some 50 ms; half a minute where the ESP was searched for again for each of them.
    expect(user / 1e6).toBeLessThan(5);
  });
});

it('with a second entry for another initramfs has both, in whatever order their files sort', () => {
  const files = {
    ...{ '/boot/vmlinuz-linux': null, '/boot/initramfs-linux.img': null },
    '/boot/initramfs-linux-fallback.img': null,
    '/boot/loader/entries/arch.conf': 'linux /vmlinuz-linux\ninitrd /initramfs-linux.img\n',
    '/boot/loader/entries/fallback.conf': 'linux /vmlinuz-linux\ninitrd /initramfs-linux-fallback.img\n',
    [`${MODULES}/modules.dep`]: '',
  };
  const found = filesOf(files, { '/boot/vmlinuz-linux': VERSION });
  expect(found.map(({ initramfs }) => initramfs).sort()).toEqual([
    '/boot/initramfs-linux-fallback.img',
    '/boot/initramfs-linux.img',
  ]);
});

describe('kernels by the version inside the image', () => {
  const modulesOf = (...versions: string[]): Files =>
    Object.fromEntries(versions.map((version) => [`${ROOT}/${version}/modules.dep`, '']));

  it('are Arch’s of 2014, whose names tell no version', () => {
    const version = '3.15.8-1-ARCH';
    const files = {
      ...modulesOf(version),
      '/boot/vmlinuz-linux': null,
      '/boot/initramfs-linux.img': null,
      '/boot/initramfs-linux-fallback.img': null,
    };
    const expected = [
      {
        version,
        image: '/boot/vmlinuz-linux',
        modules: `${ROOT}/${version}`,
        initramfs: '/boot/initramfs-linux.img',
      },
    ];
    expect(filesOf(files, { '/boot/vmlinuz-linux': version })).toEqual(expected);
  });

  it('have the initramfs that a preset or an entry names, of any name', () => {
    const images = { '/boot/own': '5.4.1-own', '/boot/vmlinuz-zen': '6.0.2-zen' };
    const files = {
      ...modulesOf('5.4.1-own', '6.0.2-zen'),
      ...{ '/boot/own': null, '/boot/ram.gz': null, '/boot/vmlinuz-zen': null, '/boot/zen.img': null },
      '/boot/amd-ucode.img': null,
      '/etc/mkinitcpio.d/zen.preset': 'ALL_kver="/boot/vmlinuz-zen"\ndefault_image="/boot/zen.img"\n',
      '/boot/grub/grub.cfg':
        "menuentry 'own' {\n\tlinux /own root=/dev/sda2 ro\n\tinitrd /amd-ucode.img /ram.gz\n}\n",
    };
    expect(filesOf(files, images).map(({ image, initramfs }) => [image, initramfs])).toEqual([
      ['/boot/own', '/boot/ram.gz'],
      ['/boot/vmlinuz-zen', '/boot/zen.img'],
    ]);
  });

  it.each<[string, Files, string, string | null]>([
    [
      'LILO',
      { '/etc/lilo.conf': 'boot = /dev/sda\nimage = /boot/vmlinuz\n  label = Linux\n  root = /dev/sda1\n' },
      '/boot/vmlinuz-huge-5.15.19',
      null,
    ],
    [
      'elilo with an initrd',
      {
        '/boot/efi/EFI/Slackware/elilo.conf': 'image=vmlinuz\n  initrd=initrd.gz\n  root=/dev/sda2\n',
        '/boot/efi/EFI/Slackware/vmlinuz': null,
        '/boot/efi/EFI/Slackware/initrd.gz': null,
      },
      '/boot/efi/EFI/Slackware/vmlinuz',
      '/boot/efi/EFI/Slackware/initrd.gz',
    ],
    [
      'extlinux',
      {
        '/boot/extlinux.conf':
          'LABEL a\n LINUX vmlinuz-huge-5.15.19\n APPEND root=/dev/sda1 initrd=initrd.gz ro\n',
      },
      '/boot/vmlinuz-huge-5.15.19',
      '/boot/initrd.gz',
    ],
    [
      'GRUB legacy, from its own partition',
      {
        '/boot/grub/menu.lst':
          'title a\nroot (hd0,0)\nkernel (hd0,0)/vmlinuz-huge-5.15.19 ro\ninitrd (hd0,0)/initrd.gz\n',
      },
      '/boot/vmlinuz-huge-5.15.19',
      '/boot/initrd.gz',
    ],
    [
      'GRUB on btrfs, through Xen',
      {
        '/boot/grub/grub.cfg':
          "menuentry 'x' {\n multiboot2 /@/boot/xen.gz\n module2 /@/boot/vmlinuz-huge-5.15.19 ro\n module2 --nounzip /@/boot/initrd.gz\n}\n",
        '/boot/xen.gz': null,
      },
      '/boot/vmlinuz-huge-5.15.19',
      '/boot/initrd.gz',
    ],
  ])('are Slackware’s as %s starts them, one kernel under several names', (_, files, image, initramfs) => {
    const slackware = {
      ...modulesOf('5.15.19'),
      '/boot/vmlinuz-huge-5.15.19': null,
      '/boot/vmlinuz-generic-5.15.19': null,
      '/boot/vmlinuz': '-> vmlinuz-huge-5.15.19',
      '/boot/vmlinuz-huge': '-> vmlinuz-huge-5.15.19',
      '/boot/initrd.gz': null,
      [`${ROOT}/5.15.19/modules.builtin`]: 'kernel/drivers/scsi/sd_mod.ko\n',
      ...files,
    };
    const versions = Object.fromEntries(
      Object.keys(slackware).flatMap((path) => (path.includes('vmlinuz') ? [[path, '5.15.19']] : [])),
    );
    expect(filesOf(slackware, versions)).toEqual([
      { version: '5.15.19', image, modules: `${ROOT}/5.15.19`, initramfs },
    ]);
  });

  it('belong to no modules of another version, whatever their names say', () => {
    const files = { ...modulesOf(VERSION), ...boot };
    expect(filesOf(files, { [own.image]: '6.1.0-21-amd64' })).toEqual([
      { version: '6.1.0-21-amd64', image: own.image, modules: null, initramfs: own.initramfs },
    ]);
  });

  it('are known without modules where a boot entry starts them, and memtest is none', () => {
    const files = {
      ...modulesOf(VERSION),
      ...boot,
      '/boot/mine': null,
      '/boot/memtest86+x64.bin': null,
      '/boot/vmlinuz-4.9.0-left-behind': null,
      '/boot/grub/grub.cfg': `menuentry a {\n linux /boot/mine root=/dev/sda1\n}\nmenuentry m {\n linux16 /boot/memtest86+x64.bin\n}\n`,
    };
    const versions = { '/boot/mine': '5.10.7-mine', '/boot/vmlinuz-4.9.0-left-behind': '4.9.0-left-behind' };
    expect(filesOf(files, versions).map(({ version, modules }) => [version, modules])).toEqual([
      [VERSION, MODULES],
      ['5.10.7-mine', null],
    ]);
  });

  it('are an initramfs’ kernel where an entry without one cannot be all: its disk drivers are modules', () => {
    const grub = { '/boot/grub/grub.cfg': `linux /boot/vmlinuz-${VERSION} root=/dev/sda1\n` };
    const builtin = (text: string) => ({ [`${MODULES}/modules.builtin`]: text });
    expect(of({ ...boot, ...grub, ...builtin('') })).toEqual([own]);
    expect(of({ ...boot, ...grub, ...builtin('kernel/drivers/scsi/sd_mod.ko\n') })).toEqual([
      { ...own, initramfs: null },
    ]);
  });
});

it('boot entries come as the loader shows them: the newest first, a rescue kernel and those by hand last', () => {
  const entry = (name: string) => ({
    [`/boot/loader/entries/abc-${name}.conf`]: `title x\nlinux /vmlinuz-${name}\n`,
    [`/boot/vmlinuz-${name}`]: null,
  });
  const files = {
    ...entry('0-rescue-abc'),
    ...entry('5.14.0-70.el9'),
    ...entry('5.14.0-427.el9'),
    '/boot/grub2/custom.cfg': 'menuentry own {\n linux /own\n}\n',
    '/boot/own': null,
  };
  expect(bootImages(treeOf(files)).map(({ image }) => image)).toEqual([
    '/boot/vmlinuz-5.14.0-427.el9',
    '/boot/vmlinuz-5.14.0-70.el9',
    '/boot/vmlinuz-0-rescue-abc',
    '/boot/own',
  ]);
});

it('any text in a boot loader’s file is read without an error, in time', () => {
  const words = fc.constantFrom(
    ...[
      'linux ',
      'initrd ',
      'image=',
      'label x',
      'title ',
      'menuentry x {',
      'append initrd=',
      '\n',
      '(hd0',
      ')',
      '/',
    ],
    ...['../', '$', '"', ',', 'module2 --', 'ALL_kver=', 'kernel ', 'xen', 'a'],
  );
  const paths = [
    '/boot/grub/grub.cfg',
    '/boot/grub/menu.lst',
    '/boot/loader/entries/a.conf',
    '/etc/lilo.conf',
  ];
  fc.assert(
    fc.property(fc.array(words, { maxLength: 60 }), (parts) => {
      const files = Object.fromEntries(paths.map((path) => [path, parts.join('')]));
      for (const { image } of bootImages(treeOf({ ...files, '/boot/a': null }))) expect(image).toMatch(/^\//);
    }),
  );
  const started = performance.now();
  const long = `append ${'initrd= '.repeat(1000)}\n`.repeat(100) + `linux ${'('.repeat(8000)}\n`.repeat(100);
  bootImages(treeOf({ '/boot/extlinux.conf': long, '/boot/grub/grub.cfg': long }));
  expect(performance.now() - started).toBeLessThan(3000);
});

describe('readKernels', () => {
  const read = async (files: MemoryFiles) => {
    const workDirectory = mkdtempSync(join(tmpdir(), 'h2k-kernels-'));
    onTestFinished(() => rmSync(workDirectory, { recursive: true }));
    const { reader } = await guestOfFiles(files);
    const texts = Object.entries(files).map(([path, content]) => [
      path,
      Buffer.isBuffer(content) ? null : content,
    ]);
    const tree = treeOf(Object.fromEntries(texts));
    return readKernels(reader, tree, [], { workDirectory, signal });
  };
  const banner = (version: string) =>
    Buffer.concat([Buffer.alloc(5000), Buffer.from(`Linux version ${version} (builder@host) #1 SMP\0`)]);

  it.each<[string, Buffer]>([
    ['bzImage', bzImage('5.4.0-hand')],
    ['gzip', gzipSync(banner('5.4.0-hand'))],
    ['EFI zboot, gzip', zboot('gzip', gzipSync(banner('5.4.0-hand')))],
    ['EFI zboot, zstd', zboot('zstd22', zstdCompressSync(banner('5.4.0-hand')))],
    ['arm64 Image', arm64(banner('5.4.0-hand'))],
  ])('reads the version out of an image: %s', async (_, image) => {
    const { kernels } = await read({
      '/lib/modules/5.4.0-hand/modules.dep': '',
      '/boot/kernel': image,
      '/boot/grub/grub.cfg': 'menuentry a {\n linux /boot/kernel root=/dev/sda1\n}\n',
    });
    expect(kernels).toMatchObject([{ version: '5.4.0-hand', modules: '/lib/modules/5.4.0-hand' }]);
  });

  it.each<[string, Buffer]>([
    ['nothing', Buffer.alloc(0)],
    ['a header that ends early', bzImage('5.4.0-hand').subarray(0, 0x208)],
    ['a version outside of the file', bzImage('5.4.0-hand').subarray(0, 0x400)],
    ['a gzip member cut off', gzipSync(banner('5.4.0-hand')).subarray(0, 40)],
    ['a zboot payload outside of the file', zboot('gzip', Buffer.alloc(0), 0xffffffff)],
  ])('takes the name where the image does not tell: %s', async (_, image) => {
    const { kernels } = await read({ '/boot/vmlinuz-mine': image });
    expect(kernels).toMatchObject([{ version: 'mine', image: '/boot/vmlinuz-mine', modules: null }]);
  });

  it('refuses an impossible number of kernels before any initramfs is read', async () => {
    const files = Object.fromEntries(
      Array.from({ length: 101 }, (_, number) => [`/lib/modules/6.1.${number}/modules.dep`, '']),
    );
    const { reader } = memoryGuest({});
    const reading = readKernels(reader, treeOf(files), [], { workDirectory: '/nonexistent', signal });
    await expect(reading).rejects.toMatchObject({ code: 'inspect.too-many-kernels' });
  });
});

/** Linux: drivers/firmware/efi/libstub/zboot-header.S. */
function zboot(packer: string, payload: Buffer, size = payload.length): Buffer {
  const head = Buffer.alloc(64);
  head.write('MZ\0\0zimg', 'latin1');
  head.writeUInt32LE(64, 8);
  head.writeUInt32LE(size, 12);
  head.write(packer, 24, 'latin1');
  return Buffer.concat([head, payload]);
}

/** Linux: arm64/booting.rst. */
function arm64(code: Buffer): Buffer {
  const head = Buffer.alloc(64);
  head.write('ARM\x64', 0x38, 'latin1');
  return Buffer.concat([head, code]);
}
