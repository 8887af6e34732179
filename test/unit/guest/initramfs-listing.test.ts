import { execFileSync } from 'node:child_process';
import { gunzipSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { readNewc, S_IFDIR, S_IFLNK, S_IFREG, writeNewc } from '../../../src/guest/cpio.js';
import { buildAppendix } from '../../../src/guest/initramfs-appendix.js';
import { describeInitramfs, listInitramfs, moduleName } from '../../../src/guest/initramfs-listing.js';

const KERNEL = '6.1.0-18-amd64';
const { signal } = new AbortController();
const file = (path: string, data = 'x') => ({ path, mode: S_IFREG | 0o644, data: Buffer.from(data) });
const directory = (path: string) => ({ path, mode: S_IFDIR | 0o755 });
const link = (path: string, target: string) => ({ path, mode: S_IFLNK | 0o777, data: Buffer.from(target) });

const microcode = writeNewc([
  directory('kernel'),
  file('kernel/x86/microcode/GenuineIntel.bin', 'u'.repeat(2000)),
]);
const main = writeNewc([
  link('lib', 'usr/lib'),
  directory('usr'),
  directory('usr/lib'),
  directory('usr/lib/modules'),
  directory(`usr/lib/modules/${KERNEL}`),
  file(`usr/lib/modules/${KERNEL}/kernel/drivers/scsi/vmw_pvscsi.ko`, 'p'.repeat(5000)),
  file(`usr/lib/modules/${KERNEL}/kernel/crypto/sha256-generic.ko.xz`),
  file('usr/lib/modules/5.0-other/kernel/foreign.ko'),
  file('init', '#!/bin/sh\n'),
]);

const tool = (input: Buffer, command: string, ...args: string[]) => execFileSync(command, args, { input });
const packers: Record<string, (input: Buffer) => Buffer> = {
  none: (input) => input,
  gzip: (input) => tool(input, 'gzip', '-c'),
  zstd: (input) => tool(input, 'zstd', '-cq19'),
  xz: (input) => tool(input, 'xz', '-c', '--check=crc32', '--lzma2=dict=1MiB'),
  lzma: (input) => tool(input, 'xz', '--format=lzma', '-c'),
  lz4: (input) => tool(input, 'lz4', '-clq'),
  bzip2: (input) => tool(input, 'bzip2', '-c'),
  lzo: (input) => tool(input, 'lzop', '-c'),
};

describe('listInitramfs', () => {
  for (const [compression, pack] of Object.entries(packers)) {
    it(`lists microcode, zeros, a ${compression} archive and an appendix`, async () => {
      const original = Buffer.concat([microcode, Buffer.alloc(700), pack(main)]);
      const before = await listInitramfs(original, signal);
      expect(before.unreadable).toBeNull();
      expect(before.segments.map((segment) => segment.compression)).toEqual(['none', compression]);
      expect(before.files).toContain('init');
      expect(before.links).toEqual({ lib: 'usr/lib' });

      const files = [
        { path: `/lib/modules/${KERNEL}/kernel/drivers/block/virtio_blk.ko`, content: Buffer.from('virtio') },
      ];
      const grown = Buffer.concat([original, buildAppendix(files, 'usr/lib', before)]);
      const after = await listInitramfs(grown, signal);
      expect(after.unreadable).toBeNull();
      expect(after.files).toContain(`usr/lib/modules/${KERNEL}/kernel/drivers/block/virtio_blk.ko`);
      expect(after.links).toEqual({ lib: 'usr/lib' });
      for (const path of before.files) expect(after.files).toContain(path);
    });
  }

  it('finds exact segment borders', async () => {
    const packed = packers.zstd?.(main) as Buffer;
    const gzip = gzipSync(main);
    const { segments } = await listInitramfs(Buffer.concat([packed, gzip, Buffer.alloc(8), packed]), signal);
    expect(segments.map(({ offset, size }) => [offset, size])).toEqual([
      [0, packed.length],
      [packed.length, gzip.length],
      [packed.length + gzip.length + 8, packed.length],
    ]);
  });

  it('says why a file cannot be read, and keeps what came before', async () => {
    const { unreadable, segments } = await listInitramfs(
      Buffer.concat([microcode, Buffer.from('MZ\u0090 a UKI')]),
      signal,
    );
    expect(unreadable).toMatch(/no known container at byte/);
    expect(segments).toHaveLength(1);
    expect((await listInitramfs(Buffer.alloc(512), signal)).unreadable).toBe('the file is empty');
  });

  it('tells a truncated archive of every kind', async () => {
    for (const pack of Object.values(packers)) {
      const bytes = pack(main);
      const { unreadable } = await listInitramfs(bytes.subarray(0, Math.floor(bytes.length * 0.7)), signal);
      expect(unreadable).not.toBeNull();
    }
  });

  it('stops at its budget of unpacked bytes and entries', async () => {
    const bomb = writeNewc([file('zeros', '\0'.repeat(4_000_000))]);
    for (const pack of [gzipSync, packers.zstd as (input: Buffer) => Buffer]) {
      const { unreadable } = await listInitramfs(pack(bomb), signal, {
        unpackedBytes: 1_000_000,
        entries: 10,
        segments: 64,
      });
      expect(unreadable).toMatch(/more than 1000000 bytes/);
    }
    const { unreadable } = await listInitramfs(main, signal, {
      unpackedBytes: 1_000_000,
      entries: 3,
      segments: 64,
    });
    expect(unreadable).toMatch(/more than 3 entries/);
  });

  it('stops at its budget of archives', async () => {
    const empty = writeNewc([]);
    const { unreadable, segments } = await listInitramfs(
      Buffer.concat(new Array<Buffer>(100).fill(empty)),
      signal,
    );
    expect(segments).toHaveLength(64);
    expect(unreadable).toBe('more than 64 archives');
  });

  it('rejects when it is aborted', async () => {
    await expect(listInitramfs(gzipSync(main), AbortSignal.abort(new Error('cancelled')))).rejects.toThrow(
      'cancelled',
    );
  });
});

describe('describeInitramfs', () => {
  it('names the modules of the kernel, normalised, and the real lib', async () => {
    const listing = await listInitramfs(gzipSync(main), signal);
    const described = describeInitramfs({ path: '/boot/initrd', listing, kernelVersion: KERNEL });
    expect(described.modules).toEqual(['sha256_generic', 'vmw_pvscsi']);
    expect(described.lib).toBe('usr/lib');
  });

  it('takes lib where lib is a directory', async () => {
    const plain = writeNewc([directory('lib'), file(`lib/modules/${KERNEL}/kernel/sd_mod.ko`)]);
    const listing = await listInitramfs(plain, signal);
    const described = describeInitramfs({ path: '/boot/initrd', listing, kernelVersion: KERNEL });
    expect(described).toMatchObject({ lib: 'lib', modules: ['sd_mod'], unreadable: null });
  });

  it('normalises names of modules', () => {
    expect(moduleName('kernel/drivers/net/virtio-net.ko.zst')).toBe('virtio_net');
  });
});

describe('buildAppendix', () => {
  const listing = async (bytes: Buffer) => listInitramfs(bytes, signal);
  const files = [
    { path: `/usr/lib/modules/${KERNEL}/kernel/drivers/virtio/virtio.ko`, content: Buffer.from('v') },
    { path: `/usr/lib/modules/${KERNEL}/kernel/drivers/block/virtio_blk.ko`, content: Buffer.from('b') },
  ];

  it('has no entry for a directory or link that exists, and one for each that does not', async () => {
    const appendix = buildAppendix(files, 'usr/lib', await listing(gzipSync(main)));
    const paths = [...readNewc(gunzipSync(appendix.subarray(appendix.indexOf(0x1f))))].map(
      ({ path }) => path,
    );
    expect(paths).toEqual([
      `usr/lib/modules/${KERNEL}/kernel`,
      `usr/lib/modules/${KERNEL}/kernel/drivers`,
      `usr/lib/modules/${KERNEL}/kernel/drivers/block`,
      `usr/lib/modules/${KERNEL}/kernel/drivers/block/virtio_blk.ko`,
      `usr/lib/modules/${KERNEL}/kernel/drivers/virtio`,
      `usr/lib/modules/${KERNEL}/kernel/drivers/virtio/virtio.ko`,
    ]);
  });

  it('is aligned to 4 bytes, and the same bytes every time', async () => {
    for (const size of [100, 101, 102, 103]) {
      const at = { ...(await listing(gzipSync(main))), size };
      const appendix = buildAppendix(files, 'usr/lib', at);
      expect((size + appendix.indexOf(0x1f)) % 4).toBe(0);
      expect(buildAppendix([...files].reverse(), 'usr/lib', at).equals(appendix)).toBe(true);
    }
  });

  it('keeps an lz4 initramfs one lz4 stream, without padding', async () => {
    const original = packers.lz4?.(main) as Buffer;
    const grown = Buffer.concat([original, buildAppendix(files, 'usr/lib', await listing(original))]);
    expect((await listing(grown)).segments).toHaveLength(1);
    const unpacked = tool(grown, 'lz4', '-dcq');
    expect(unpacked.subarray(0, main.length).equals(main)).toBe(true);
    expect([...readNewc(unpacked, main.length)].at(-1)?.data.toString()).toBe('v');
  });

  it('keeps modules reachable that the initramfs holds under another suffix than the index', async () => {
    const bytes = gzipSync(writeNewc([file(`lib/modules/${KERNEL}/kernel/ext4.ko`)]));
    const index = {
      path: `/lib/modules/${KERNEL}/modules.dep`,
      content: Buffer.from('kernel/ext4.ko.xz: kernel/jbd2.ko.xz\nkernel/jbd2.ko.xz:\n'),
    };
    const appendix = buildAppendix([index], 'lib', await listing(bytes));
    const linked = [...readNewc(gunzipSync(appendix.subarray(appendix.indexOf(0x1f))))].find(({ path }) =>
      path.endsWith('.xz'),
    );
    expect(linked?.path).toBe(`lib/modules/${KERNEL}/kernel/ext4.ko.xz`);
    expect(linked?.data.toString()).toBe('ext4.ko');
  });

  it.each(['', `/lib/modules/${KERNEL}/`])(
    'keeps modules reachable where all are in one directory; the index says %jkernel/…',
    async (prefix) => {
      const flat = (name: string) => file(`lib/modules/${KERNEL}/kernel/${name}`);
      const bytes = writeNewc([flat('ext4.ko.gz'), flat('jbd2.ko.gz'), flat('virtio.ko.gz')]);
      const names = [
        'fs/ext4/ext4.ko.gz',
        'fs/jbd2/jbd2.ko.gz',
        'drivers/virtio/virtio.ko.gz',
        'net/x.ko.gz',
      ];
      const dep = names
        .map((name) => `${prefix}kernel/${name}: ${prefix}kernel/fs/jbd2/jbd2.ko.gz\n`)
        .join('');
      const hostile = '../../../../etc/ext4.ko:\n/etc/ext4.ko:\n:\n';
      const index = { path: `/lib/modules/${KERNEL}/modules.dep`, content: Buffer.from(dep + hostile) };
      const placed = {
        path: `/lib/modules/${KERNEL}/kernel/drivers/virtio/virtio.ko.gz`,
        content: Buffer.from('x'),
      };
      const appendix = buildAppendix([index, placed], 'lib', await listing(bytes));
      const { links, files: own } = await listing(appendix);
      expect(links).toEqual({
        [`lib/modules/${KERNEL}/kernel/fs/ext4/ext4.ko.gz`]: '../../ext4.ko.gz',
        [`lib/modules/${KERNEL}/kernel/fs/jbd2/jbd2.ko.gz`]: '../../jbd2.ko.gz',
        [`lib/modules/${KERNEL}/etc/ext4.ko`]: '../kernel/ext4.ko.gz',
      });
      expect(own).toContain(`lib/modules/${KERNEL}/kernel/drivers/virtio/virtio.ko.gz`);
    },
  );

  it('refuses a path that is not under the modules directory', async () => {
    const outside = [{ path: '/lib/modules/../../etc/passwd', content: Buffer.alloc(1) }];
    expect(() =>
      buildAppendix(outside, 'lib', { size: 0, segments: [], files: [], directories: [], links: {} }),
    ).toThrow(/not a path under/);
  });
});

describe('configuration inside an initramfs', () => {
  it('has LVM’s settings without the remarks, where one of them is a filter', async () => {
    const remarks = '# It is a long story.\n'.repeat(5000);
    const listing = async (text: string) =>
      (await listInitramfs(gzipSync(writeNewc([file('etc/lvm/lvm.conf', text)])), signal)).texts;
    const settings = 'devices {\n\tfilter = [ "a|/dev/sda|", "r|.*|" ]\n}\n';
    expect(await listing(`${remarks}devices {\n\n\t# filter = []\n${settings.slice(10)}`)).toEqual({
      'etc/lvm/lvm.conf': settings,
    });
    expect(await listing(`${remarks}devices {\n\t# filter = []\n\tdir = "/dev"\n}\n`)).toEqual({});
    expect(await listing(`filter = []\n${'# x\n'.repeat(70_000)}`)).toEqual({});
  });

  const archive = writeNewc([
    directory('etc'),
    file('etc/crypttab', 'root /dev/sda3\n'),
    file('etc/passwd', 'root:x\n'),
    file('conf/conf.d/resume', 'RESUME=/dev/sda2\n'),
    file('etc/cmdline.d/long.conf', 'x'.repeat(10_000)),
  ]);

  it.each(Object.keys(packers))('is read where it may name devices: %s', async (compression) => {
    const { texts, unreadable } = await listInitramfs(packers[compression]!(archive), signal);
    expect(unreadable).toBeNull();
    expect(texts).toEqual({
      'conf/conf.d/resume': 'RESUME=/dev/sda2\n',
      'etc/crypttab': 'root /dev/sda3\n',
    });
  });

  it('is what the appended archive says, which may also take a file away', async () => {
    const before = await listInitramfs(gzipSync(archive), signal);
    const replaced = [
      { path: 'etc/crypttab', text: 'root UUID=1\n' },
      { path: 'conf/conf.d/resume', text: null },
    ];
    const appendix = buildAppendix([], 'lib', before, replaced);
    const after = await listInitramfs(Buffer.concat([gzipSync(archive), appendix]), signal);
    expect(after.texts).toEqual({ 'etc/crypttab': 'root UUID=1\n' });
    expect(after.links).toHaveProperty(['conf/conf.d/resume']);
  });
});
