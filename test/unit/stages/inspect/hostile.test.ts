import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { appliancePort } from '../../../../src/appliance/port.js';
import type { ApplianceSession } from '../../../../src/appliance/session.js';
import type { StageContext } from '../../../../src/engine/stage.js';
import { Hyper2kvmError } from '../../../../src/errors/error.js';
import { inspectStage } from '../../../../src/stages/inspect/index.js';
import { silent, testOptions } from '../../engine/fakes.js';

const LONGEST_TURN_MS = 200;
const MIB = 1024 * 1024;
const scratch = mkdtempSync(join(tmpdir(), 'h2k-hostile-guest-'));
afterAll(() => rmSync(scratch, { recursive: true }));

/** By directory of the guest: its files by relative path, a directory's ending in a slash. */
type Files = Record<string, readonly (readonly [path: string, content: string])[]>;

interface Guest {
  files: Files;
  /** What `find0` writes. */
  names?: Buffer;
  volumes?: number;
  fstab?: string;
}

const KERNEL: Files = { '/boot': [['vmlinuz-6.1', 'x']], '/lib/modules': [['6.1/', '']] };
/** An ELF header for x86_64, and zeros. */
const PROGRAM = Buffer.alloc(100_000);
PROGRAM.write('\x7fELF', 'latin1');
PROGRAM.writeUInt16LE(62, 18);

/** What is behind is zero. */
const END_OF_HEADER = 265;

/** A tar archive; tar-stream would take a minute for some hundred thousand files. */
function tarOf(files: Files[string], name: string): string {
  const members = files.flatMap(([path, content]) => {
    const own = { path, content, type: path.endsWith('/') ? '5' : '0' };
    // GNU tar's member for a name that is longer than its field.
    return path.length < 100 ? [own] : [{ path: '././@LongLink', content: `${path}\0`, type: 'L' }, own];
  });
  const blocks = members.map(({ content }) => 1 + Math.ceil(content.length / 512));
  const bytes = Buffer.alloc((blocks.reduce((sum, count) => sum + count, 0) + 2) * 512);
  let at = 0;
  for (const [index, { path, content, type }] of members.entries()) {
    const header = bytes.subarray(at, at + 512);
    header.write(path.slice(0, 99), 'latin1');
    header.write('0000644\x000000000\x000000000\0', 100, 'latin1');
    header.write(`${content.length.toString(8).padStart(11, '0')}\0`, 124, 'latin1');
    header.write(`00000000000\0        ${type}`, 136, 'latin1');
    header.write('ustar  \0', 257, 'latin1');
    let sum = 0;
    for (let index = 0; index < END_OF_HEADER; index++) sum += header[index]!;
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
    bytes.write(content, at + 512, 'latin1');
    at += blocks[index]! * 512;
  }
  const path = join(scratch, `${name}.tar`);
  writeFileSync(path, bytes);
  return path;
}

/** An appliance with that guest in it, as far as INSPECT asks. */
function appliance({ files, names = Buffer.alloc(0), volumes = 0, fstab = '' }: Guest): ApplianceSession {
  const tars: Record<string, string> = {};
  for (const directory of Object.keys(files))
    tars[directory] = tarOf(files[directory]!, directory.replaceAll('/', '_'));
  const list = join(scratch, 'names');
  writeFileSync(list, names);
  const groups = Array.from({ length: volumes }, (_, index) => `/dev/group${index}/volume-x`);
  const answers: Record<string, (...args: never[]) => unknown> = {
    umount_all: () => undefined,
    mount_options: () => undefined,
    list_devices: () => ['/dev/sda'],
    list_partitions: () => ['/dev/sda1', '/dev/sda2'],
    lvs: () => groups,
    debug: () => '',
    blockdev_getsize64: () => 1,
    blkid: (device: string) => ({
      TYPE: device === '/dev/sda2' ? 'LVM2_member' : device === '/dev/sda1' ? 'ext4' : 'swap',
      UUID: device,
    }),
    ls: () => ['etc', 'usr', 'lib'],
    statns: () => ({ mode: 0o100644, uid: 0, gid: 0, size: PROGRAM.length, device: 1, inode: 1 }),
    pread: (path: string, count: number, offset: number) =>
      (path === '/etc/fstab' ? Buffer.from(fstab) : PROGRAM).subarray(offset, offset + count),
    lstatns: (path: string) => {
      if (path in tars || path === '/usr/bin')
        return { mode: 0o040755, uid: 0, gid: 0, size: 4096, device: 1, inode: 1 };
      throw new Hyper2kvmError('guest.call-failed', 'lstatns: No such file or directory', { errno: 2 });
    },
    tar_out_opts: (directory: string, path: string) => copyFile(tars[directory]!, path),
    readdir: () => [{ type: 'u', name: 'any' }],
    find0: (_directory: string, path: string) => copyFile(list, path),
  };
  const call = async (name: string, ...args: never[]) => {
    const answer = answers[name];
    if (answer === undefined) throw new Error(`not expected: ${name}`);
    return answer(...args);
  };
  return { call, traffic: async () => ({ read: 0, written: 0 }) } as unknown as ApplianceSession;
}

/** What INSPECT says of the guest, and the longest turn of this thread meanwhile, by the time it computed. */
async function inspect(guest: Guest): Promise<{ code: string; turn: number; kernels: number }> {
  const session = appliance(guest);
  const context = {
    ...{ options: testOptions(), workDirectory: scratch, signal: new AbortController().signal, log: silent },
    source: { directory: scratch, entries: [] },
    progress: () => {},
    account: () => {},
    guest: async () => ({
      port: appliancePort(session, scratch),
      capabilities: { offline: true },
      traffic: session.traffic,
    }),
  } as unknown as StageContext;
  const disk = { ...{ index: 0, image: 'flat-disk0.qcow2', format: 'qcow2', virtual_size: MIB }, layers: [] };
  const input = {
    fetch: { hardware: { firmware: null }, disks: [] },
    flatten: { disks: [{ ...disk, allocated: null, used_bytes: 0, controller: null }] },
  } as unknown as Parameters<typeof inspectStage.run>[1];
  const cpu = () => {
    const { user, system } = process.threadCpuUsage();
    return (user + system) / 1000;
  };
  let [turn, at, used] = [0, performance.now(), cpu()];
  const timer = setInterval(() => {
    const [now, spent] = [performance.now(), cpu()];
    turn = Math.max(turn, Math.min(now - at, spent - used));
    [at, used] = [now, spent];
  }, 5);
  try {
    const { identity } = await inspectStage.run(context, input);
    return { code: 'inspected', turn, kernels: identity.os_type === 'windows' ? 0 : identity.kernels.length };
  } catch (error) {
    return { code: error instanceof Hyper2kvmError ? error.code : String(error), turn, kernels: 0 };
  } finally {
    clearInterval(timer);
  }
}

const etc = (...files: Files[string]): Files => ({ ...KERNEL, '/etc': files });
const TOKENS = Array.from({ length: 1000 }, (_, index) => [`token${index}/`, ''] as const);
const VERSIONS = Array.from({ length: 100 }, (_, index) => `6.1.${index}`);

const GUESTS: readonly (readonly [title: string, expected: string, guest: Guest])[] = [
  ['an ordinary one', 'inspected', { files: etc(['hostname', 'web01\n']) }],
  [
    'an fstab of a megabyte, and 300 volumes',
    'inspected',
    {
      volumes: 300,
      fstab: '/dev/mapper/other-volume / ext4\n'.repeat(32_000),
      files: etc(
        ['fstab', '/dev/mapper/other-volume /usr ext4\n'.repeat(29_000)],
        ['crypttab', 'x /dev/mapper/other-volume\n'.repeat(38_000)],
      ),
    },
  ],
  [
    'configuration of line ends and quotation marks',
    'inspected',
    {
      files: etc(
        ['network/interfaces', '\n'.repeat(MIB)],
        ['os-release', `ID="x\n${'\n'.repeat(MIB / 2)}ID="${'" '.repeat(MIB / 8)}x\n`],
        ['hostname', ' \n'.repeat(MIB / 4)],
      ),
    },
  ],
  [
    '40,000 files',
    'inspected',
    {
      files: {
        ...KERNEL,
        '/etc': Array.from({ length: 40_000 }, (_, index) => [`f/${(index * 7919) % 40_000}`, ''] as const),
      },
    },
  ],
  [
    'eight million names in one directory',
    'inspect.configuration-too-large',
    { files: etc(), names: Buffer.alloc(16 * MIB, 'a\0') },
  ],
  [
    'long paths',
    'inspect.configuration-too-large',
    {
      files: etc(
        ...Array.from({ length: 14_000 }, (_, n) => [`${'n'.repeat(90)}/`.repeat(40) + n, ''] as const),
      ),
    },
  ],
  [
    'a hundred kernels, and a thousand places for the copies of each',
    'inspected',
    {
      files: {
        '/etc': [],
        '/boot': [...VERSIONS.map((version) => [`vmlinuz-${version}`, ''] as const), ...TOKENS],
        '/efi': TOKENS,
        '/lib/modules': VERSIONS.map((version) => [`${version}/`, ''] as const),
      },
    },
  ],
];

describe('a guest with', () => {
  test.each(GUESTS)(
    '%s keeps nobody waiting',
    async (_title, expected, guest) => {
      const { code, turn, kernels } = await inspect(guest);
      expect(code).toBe(expected);
      if (code === 'inspected') expect(kernels).toBeGreaterThan(0);
      expect(turn).toBeLessThan(LONGEST_TURN_MS);
    },
    120_000,
  );
});
