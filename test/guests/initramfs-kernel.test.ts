import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { S_IFDIR, S_IFLNK, S_IFREG, writeNewc } from '../../src/guest/cpio.js';
import { buildAppendix } from '../../src/guest/initramfs-appendix.js';
import { listInitramfs } from '../../src/guest/initramfs-listing.js';

const MODULES = 'usr/lib/modules/6.0-test';
const { signal } = new AbortController();

/** Prints what the kernel unpacked, then ends: the panic of a lost init makes QEMU exit. */
const INIT = `#!/bin/dash
[ -e /${MODULES}/original.ko ] && echo H2K-ORIGINAL
[ -e /lib/modules/6.0-test/kernel/drivers/appended.ko ] && echo H2K-APPENDED
[ -L /lib ] && echo H2K-LINK
[ -e /etc/lvm/devices/system.devices ] || echo H2K-HIDDEN
read -r device < /cryptroot/crypttab && echo "H2K-CRYPTTAB $device"
read -r line < /${MODULES}/modules.dep && echo "H2K-INDEX $line"
`;

/** A system of one shell, with /lib as a link, as every usr-merged distribution's initramfs has it. */
function smallSystem(): Buffer {
  const libraries = [
    ...execFileSync('ldd', ['/bin/dash'], { encoding: 'utf8' }).matchAll(/(\/\S+) \(0x/g),
  ].map(([, path = '']) => path);
  const files = [
    { path: 'init', mode: S_IFREG | 0o755, data: Buffer.from(INIT) },
    { path: 'bin/dash', mode: S_IFREG | 0o755, data: readFileSync('/bin/dash') },
    { path: 'etc/lvm/devices/system.devices', mode: S_IFREG | 0o600, data: Buffer.from('old\n') },
    {
      path: 'cryptroot/crypttab',
      mode: S_IFREG | 0o600,
      data: Buffer.from('a line that is longer\nand another\n'),
    },
    { path: `${MODULES}/original.ko`, mode: S_IFREG | 0o644, data: Buffer.from('original') },
    { path: `${MODULES}/modules.dep`, mode: S_IFREG | 0o644, data: Buffer.from('old\n') },
    ...libraries.map((path) => ({
      path: path.replace(/^\/lib\//, '/usr/lib/').slice(1),
      mode: S_IFREG | 0o755,
      data: readFileSync(realpathSync(path)),
    })),
  ];
  const parents = files.flatMap(({ path }) =>
    path
      .split('/')
      .slice(0, -1)
      .map((_, index, parts) => parts.slice(0, index + 1).join('/')),
  );
  return writeNewc([
    ...[...new Set(parents)].map((path) => ({ path, mode: S_IFDIR | 0o755 })),
    { path: 'lib', mode: S_IFLNK | 0o777, data: Buffer.from('usr/lib') },
    ...files,
  ]);
}

const PACKERS: Record<string, (input: Buffer) => Buffer> = {
  none: (input) => input,
  gzip: (input) => execFileSync('gzip', ['-1c'], { input, maxBuffer: 1 << 28 }),
  zstd: (input) => execFileSync('zstd', ['-cq'], { input, maxBuffer: 1 << 28 }),
  xz: (input) => execFileSync('xz', ['-0c', '--check=crc32'], { input, maxBuffer: 1 << 28 }),
  lz4: (input) => execFileSync('lz4', ['-clq'], { input, maxBuffer: 1 << 28 }),
};

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'h2k-kernel-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

function boot(initramfs: Buffer): string {
  const kernel = readdirSync('/boot')
    .filter((name) => name.startsWith('vmlinuz-'))
    .sort()
    .at(-1);
  if (kernel === undefined)
    throw new Error('this test starts the machine’s own kernel, and there is none in /boot');
  const file = join(directory, 'initrd');
  writeFileSync(file, initramfs);
  const args = [
    '-accel',
    'tcg',
    '-cpu',
    'max',
    '-m',
    '512',
    '-nographic',
    '-no-reboot',
    '-nodefaults',
    '-serial',
    'stdio',
    '-net',
    'none',
  ];
  const append = 'console=ttyS0 panic=-1 rdinit=/init';
  return execFileSync(
    'qemu-system-x86_64',
    [...args, '-kernel', `/boot/${kernel}`, '-initrd', file, '-append', append],
    {
      encoding: 'utf8',
      timeout: 240_000,
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
}

describe('the kernel unpacks an appended archive', () => {
  it.each(Object.keys(PACKERS))('behind a %s initramfs, over a linked /lib', async (compression) => {
    const pack = PACKERS[compression] as (input: Buffer) => Buffer;
    const original = pack(smallSystem());
    const files = [
      { path: '/lib/modules/6.0-test/kernel/drivers/appended.ko', content: Buffer.from('appended') },
      { path: '/lib/modules/6.0-test/modules.dep', content: Buffer.from('new\n') },
    ];
    const replaced = [
      { path: 'cryptroot/crypttab', text: 'root UUID=1\n' },
      { path: 'etc/lvm/devices/system.devices', text: null },
    ];
    const appendix = buildAppendix(files, 'usr/lib', await listInitramfs(original, signal), replaced);
    const console = boot(Buffer.concat([original, appendix]));
    for (const line of [
      ...['H2K-ORIGINAL', 'H2K-APPENDED', 'H2K-LINK', 'H2K-INDEX new'],
      ...['H2K-HIDDEN', 'H2K-CRYPTTAB root UUID=1'],
    ])
      expect(console).toContain(line);
    expect(console).not.toMatch(/Initramfs unpacking failed|junk/);
  });
});
