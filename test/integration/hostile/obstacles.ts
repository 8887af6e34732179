import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  renameSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { descriptor } from '../../unit/disk/images.js';
import { qemuImg, rawDisk } from './corpus.js';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
const DATA = 'kind = "data"\n';

/** One drop that tries to hold up the others. */
export interface Obstacle {
  title: string;
  /** Codes of the failed job, `converted`, or what `list` says it waits for. */
  expected: RegExp;
  /** It stays in incoming. */
  stays?: true;
  /** Fills the directory that is dropped. */
  make(directory: string): void;
  /** Of the dropped directory itself. */
  mode?: number;
  owner?: number;
  name?: string;
}

/** A file of `size` bytes with `pieces` in it and holes elsewhere. */
function sparse(
  path: string,
  size: number,
  pieces: readonly (readonly [offset: number, bytes: Buffer])[],
): void {
  const file = openSync(path, 'w');
  ftruncateSync(file, size);
  for (const [offset, bytes] of pieces) writeSync(file, bytes, 0, bytes.length, offset);
  closeSync(file);
}

const ENTRIES = 4 * MIB;
/** Where they lead to: 1 GiB, as the archive's digest takes in the holes. */
const PLACES = 16 * 1024;

/**
 * A qcow2 whose L1 has 32 MiB, each entry a table in a hole, `order` the place of an entry's table among
 * them.
 */
function endlessQcow2(path: string, order: (index: number) => number): void {
  const cluster = 65_536;
  const header = Buffer.alloc(104);
  header.write('QFI\xfb', 'latin1');
  header.writeUInt32BE(3, 4);
  header.writeUInt32BE(16, 20);
  header.writeBigUInt64BE(BigInt(8 * GIB), 24);
  header.writeUInt32BE(ENTRIES, 36);
  header.writeBigUInt64BE(BigInt(4 * cluster), 40);
  header.writeBigUInt64BE(BigInt(cluster), 48);
  header.writeUInt32BE(1, 56);
  header.writeUInt32BE(4, 96);
  header.writeUInt32BE(104, 100);
  const first = 4 * cluster + ENTRIES * 8;
  const l1 = Buffer.alloc(ENTRIES * 8);
  for (let index = 0; index < ENTRIES; index += 1)
    l1.writeBigUInt64BE(BigInt(first + (order(index) % PLACES) * cluster) | (1n << 63n), index * 8);
  sparse(path, first + PLACES * cluster, [
    [0, header],
    [4 * cluster, l1],
  ]);
}

/** A sparse VMDK of 64 TiB with two million grain tables, all in holes. */
function endlessVmdk(path: string): void {
  const tables = 2 ** 21;
  const header = Buffer.alloc(512);
  header.write('KDMV', 'latin1');
  header.writeUInt32LE(1, 4);
  header.writeUInt32LE(3, 8);
  header.writeBigUInt64LE(BigInt(tables * 512 * 128), 12);
  header.writeBigUInt64LE(128n, 20);
  header.writeBigUInt64LE(1n, 28);
  header.writeBigUInt64LE(20n, 36);
  header.writeUInt32LE(512, 44);
  header.writeBigUInt64LE(32n, 48);
  header.writeBigUInt64LE(32n, 56);
  header.writeBigUInt64LE(128n, 64);
  header.writeUInt32BE(0x0a200d0a, 73);
  const directory = Buffer.alloc(tables * 4);
  const first = 32 + (tables * 4) / 512;
  // From the end to the start: nothing is in order.
  for (let index = 0; index < tables; index += 1)
    directory.writeUInt32LE(first + (tables - 1 - index) * 4, index * 4);
  const text = Buffer.alloc(20 * 512);
  descriptor([`RW ${tables * 512 * 128} SPARSE "disk.vmdk"`], { createType: '"monolithicSparse"' }).copy(
    text,
  );
  sparse(path, (first + tables * 4) * 512, [
    [0, header],
    [512, text],
    [32 * 512, directory],
  ]);
}

function disk(directory: string, options: string = DATA): void {
  writeFileSync(join(directory, 'disk.raw'), rawDisk(MIB, 0x33));
  writeFileSync(join(directory, 'job.toml'), options);
}

/** A job.toml that asks for what is the operator's. */
function asks(title: string, toml: string, expected: RegExp): Obstacle {
  return {
    title: `a job.toml that asks for ${title}`,
    expected,
    make: (directory) => disk(directory, `${DATA}${toml}`),
  };
}

const NOT_ALLOWED = /^job-options\.(invalid-value|unknown-key)$/;

/** Each of them once stopped all intake, or would have. */
export const OBSTACLES: readonly Obstacle[] = [
  {
    title: 'a private directory',
    expected: /spool\.unreadable: .*permission denied.*chmod/,
    stays: true,
    make: disk,
    mode: 0o700,
  },
  {
    title: 'lost+found',
    expected: /spool\.unreadable: lost\+found .*permission denied/,
    stays: true,
    make: () => {},
    mode: 0o700,
    owner: 0,
    name: 'lost+found',
  },
  {
    title: 'a private directory inside',
    expected: /spool\.unreadable: .*permission denied/,
    stays: true,
    make(directory) {
      disk(directory);
      mkdirSync(join(directory, 'inner'), { mode: 0o700 });
    },
  },
  {
    title: 'a path over 4,096 bytes',
    expected: /spool\.unreadable: .*name too long.*4,096/i,
    stays: true,
    make(directory) {
      disk(directory);
      // Neither of them alone is as long.
      const half = Array.from({ length: 10 }, () => 'n'.repeat(240));
      mkdirSync(join(directory, ...half), { recursive: true });
      mkdirSync(join(directory, 'other', ...half), { recursive: true });
      renameSync(join(directory, 'other'), join(directory, ...half, 'other'));
    },
  },
  {
    title: 'directories 70 deep',
    expected: /spool\.too-large: .*nested/,
    stays: true,
    make(directory) {
      disk(directory);
      mkdirSync(join(directory, ...Array.from({ length: 70 }, () => 'd')), { recursive: true });
    },
  },
  {
    title: '20,000 files',
    expected: /^fetch\.too-many-files$/,
    make(directory) {
      for (let index = 0; index < 20_000; index += 1) writeFileSync(join(directory, `${index}.qcow2`), '');
    },
  },
  {
    title: 'a qcow2 whose L1 leads to four million holes',
    expected: /^(converted|fetch\.|flatten\.|tool\.)/,
    make(directory) {
      endlessQcow2(join(directory, 'disk.qcow2'), (index) => index);
      writeFileSync(join(directory, 'job.toml'), DATA);
    },
  },
  {
    title: 'the same in no order',
    expected: /^(converted|fetch\.|flatten\.|tool\.)/,
    make(directory) {
      endlessQcow2(join(directory, 'disk.qcow2'), (index) => (index * 2_654_435) % ENTRIES);
      writeFileSync(join(directory, 'job.toml'), DATA);
    },
  },
  {
    title: 'a VMDK with two million grain tables in holes',
    expected: /^flatten\.too-large$/,
    make(directory) {
      endlessVmdk(join(directory, 'disk.vmdk'));
      writeFileSync(join(directory, 'job.toml'), DATA);
    },
  },
  {
    title: 'a job.toml with 9,000 unknown keys',
    expected: /^job-options\.unknown-key$/,
    make: (directory) =>
      disk(directory, Array.from({ length: 9000 }, (_, i) => `q${i.toString(36)}=1\n`).join('')),
  },
  {
    title: 'a job.toml with a key of 30,000 parts',
    expected: /^job-options\.syntax$/,
    make: (directory) => disk(directory, `${'a.'.repeat(30_000)}b = 1\n`),
  },
  {
    title: 'a job.toml of brackets',
    expected: /^job-options\.syntax$/,
    make: (directory) => disk(directory, `x = ${'['.repeat(60_000)}\n`),
  },
  {
    title: 'a job.toml with one key of 60,000 letters',
    expected: /^job-options\.unknown-key$/,
    make: (directory) => disk(directory, `${'validate'.repeat(7_500)} = 1\n`),
  },
  {
    title: 'a job.toml that is a FIFO',
    expected: /^(job-options\.unreadable|fetch\.refused-special)$/,
    make(directory) {
      writeFileSync(join(directory, 'disk.raw'), rawDisk(MIB));
      execFileSync('mkfifo', [join(directory, 'job.toml')]);
    },
  },
  asks('/dev/zero as a key', '[[guest.luks]]\ndevice = "/dev/sda1"\nkey_file = "/dev/zero"\n', NOT_ALLOWED),
  asks('a key outside', '[[guest.luks]]\ndevice = "/dev/sda1"\nkey_file = "../../queue.db"\n', NOT_ALLOWED),
  asks('a boot test of 64 GiB', '[validate]\nmemory_mib = 65536\n', NOT_ALLOWED),
  asks('a boot test of 32 processors', '[validate]\nsmp = 32\n', NOT_ALLOWED),
  asks('a boot of two hours', '[validate]\ntimeout_seconds = 7200\n', NOT_ALLOWED),
  asks('every zero to be written', '[convert]\nsparse = false\n', NOT_ALLOWED),
  asks('a whole disk to be filled', '[convert]\npreallocation = "full"\n', NOT_ALLOWED),
  {
    title: 'a raw disk of 15 TiB that is a hole',
    expected: /^fetch\.bomb$/,
    make(directory) {
      sparse(join(directory, 'disk.raw'), 15 * 1024 * GIB, [[0, rawDisk(MIB)]]);
      writeFileSync(join(directory, 'job.toml'), DATA);
    },
  },
  {
    title: 'a qcow2 of 60 TiB of zeros that is to become raw',
    expected: /^fetch\.bomb$/,
    make(directory) {
      qemuImg(['create', '-q', '-f', 'qcow2', '-o', 'cluster_size=2M', join(directory, 'disk.qcow2'), '60T']);
      writeFileSync(join(directory, 'job.toml'), `${DATA}[convert]\nformat = "raw"\n`);
    },
  },
  {
    title: 'a .vmx with ten thousand disks in an order of its own',
    expected: /^fetch\./,
    make(directory) {
      disk(directory);
      const numbers = Array.from({ length: 9_000 }, (_, index) => index);
      const disks = numbers.map((n) => `scsi${n}:0.fileName = "d${n}.vmdk"\nscsi${n}:0.present = "TRUE"\n`);
      const order = numbers.map((n) => `scsi${9_000 - n}:0`).join(',');
      writeFileSync(join(directory, 'vm.vmx'), `bios.hddOrder = "${order}"\n${disks.join('')}`);
    },
  },
  {
    title: 'a VMDK text with line ends of Unicode',
    expected: /^fetch\./,
    make(directory) {
      const line = `RW 2048 FLAT "a-flat.vmdk" 0${' '.repeat(900_000)}x\u2028y`;
      writeFileSync(join(directory, 'disk.vmdk'), descriptor([line]));
      writeFileSync(join(directory, 'job.toml'), DATA);
    },
  },
];

/** Makes the drop at `path`, owned by `dropper` unless it says otherwise. */
export function place({ make, mode = 0o777, owner }: Obstacle, path: string, dropper: number): void {
  mkdirSync(path);
  make(path);
  execFileSync('chown', ['-R', `${dropper}:${dropper}`, path]);
  if (owner !== undefined) chownSync(path, owner, owner);
  chmodSync(path, mode);
}
