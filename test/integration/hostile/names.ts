import { execFileSync } from 'node:child_process';
import { linkSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type HostileCase, type Lure, rawDisk, several } from './corpus.js';

const MIB = 1024 * 1024;
const content = () => rawDisk(MIB, 0x61);
const DATA = 'kind = "data"\n';

/** A sound data disk under a name that is something else to a shell, a terminal, a browser or QEMU. */
const NAMES: readonly [title: string, stem: (lure: Lure) => string][] = [
  ['a json: graph', ({ port }) => `json:{"driver":"nbd","host":"127.0.0.1","port":"${port}"}`],
  ['an NBD server', ({ port }) => `nbd:127.0.0.1:${port}`],
  ['a protocol that QEMU does not know', () => 'foo:bar'],
  ['an option', () => '--help'],
  ['a comma and an equals sign', () => 'a,snapshot=on,file.driver=nbd'],
  ['a command', () => '$(touch h2k-pwned);`id`|x'],
  ['markup', () => '<script>alert(1)</script>'.replace('/', '')],
  ['quotes', () => `a"b'c\\d`],
  ['a line end', () => 'a\n<3>b'],
  ['an ESC sequence', () => '\u001b[31m\u001b]0;owned\u0007'],
  ['a right-to-left override', () => 'gnp.\u202ewmdk'],
  ['format specifiers', () => '%s%n%x{{}}$x'],
  ['all that a name may hold', () => 'x'.repeat(255 - '.job.toml'.length)],
];

function loose(
  title: string,
  expected: string | readonly string[],
  make: HostileCase['make'],
  own = true,
): HostileCase {
  return several(title, expected, make, { loose: true, ...(own ? { ownOptions: true } : {}) });
}

export const NAMES_AND_KINDS: readonly HostileCase[] = [
  ...NAMES.map(([what, stem]) =>
    several(
      `a name: ${what}`,
      'converted',
      (directory, lure) => {
        writeFileSync(join(directory, `${stem(lure)}.raw`), content());
        writeFileSync(join(directory, `${stem(lure)}.job.toml`), DATA);
      },
      { loose: true, ownOptions: true, content },
    ),
  ),
  several('a name that is not UTF-8', ['converted', 'fetch.refused-name'], (directory) => {
    writeFileSync(
      Buffer.concat([Buffer.from(`${directory}/bad-`), Buffer.from([0xff, 0xfe, 0x80]), Buffer.from('.raw')]),
      content(),
    );
  }),
  loose('a link to the canary', 'fetch.refused-special', (directory, { canary }) =>
    symlinkSync(canary, join(directory, 'link.raw')),
  ),
  loose('a link that leads nowhere', 'fetch.refused-special', (directory) =>
    symlinkSync('/nonexistent/x', join(directory, 'dangling.raw')),
  ),
  loose('a link to a directory', 'fetch.refused-special', (directory) =>
    symlinkSync('/etc', join(directory, 'etc')),
  ),
  loose(
    'a FIFO',
    'fetch.refused-special',
    (directory) => void execFileSync('mkfifo', [join(directory, 'fifo.raw')]),
  ),
  loose(
    'a block device',
    'fetch.refused-special',
    (directory) => void execFileSync('mknod', [join(directory, 'device.raw'), 'b', '7', '200']),
  ),
  loose(
    'a character device',
    'fetch.refused-special',
    (directory) => void execFileSync('mknod', [join(directory, 'zero.raw'), 'c', '1', '5']),
  ),
  several('a hard link to a file outside', 'fetch.refused-special', (directory, { canary }) =>
    linkSync(`${canary}.linked`, join(directory, 'hard.raw')),
  ),
  several('a link deep in a directory', 'fetch.refused-special', (directory, { canary }) => {
    mkdirSync(join(directory, 'a', 'b'), { recursive: true });
    writeFileSync(join(directory, 'disk.raw'), content());
    symlinkSync(canary, join(directory, 'a', 'b', 'c.raw'));
  }),
  several('directories 40 deep', 'fetch.too-many-files', (directory) => {
    mkdirSync(join(directory, ...Array.from({ length: 40 }, (_, i) => `d${i}`)), { recursive: true });
    writeFileSync(join(directory, 'disk.raw'), content());
  }),
  several('10,500 files', 'fetch.too-many-files', (directory) => {
    for (let i = 0; i < 10_500; i += 1) writeFileSync(join(directory, `${i}.txt`), '');
    writeFileSync(join(directory, 'disk.raw'), content());
  }),
  several(
    'a job.toml that is a link to the canary',
    ['fetch.refused-special', 'job-options.unreadable'],
    (directory, { canary }) => {
      writeFileSync(join(directory, 'disk.raw'), content());
      symlinkSync(canary, join(directory, 'job.toml'));
    },
    { ownOptions: true },
  ),
  several(
    'a job.toml of 10 MiB',
    'job-options.unreadable',
    (directory) => {
      writeFileSync(join(directory, 'disk.raw'), content());
      writeFileSync(join(directory, 'job.toml'), Buffer.alloc(10 * MIB, '# x\n'));
    },
    { ownOptions: true },
  ),
  several(
    'a job.toml with a VM name that leads out',
    'job-options.invalid-value',
    (directory) => {
      writeFileSync(join(directory, 'disk.raw'), content());
      writeFileSync(join(directory, 'job.toml'), `${DATA}[vm]\nname = "../../../tmp/h2k-escaped"\n`);
    },
    { ownOptions: true },
  ),
  several(
    'a job.toml that sets the daemon’s directories',
    ['job-options.unknown-key', 'job-options.invalid-value'],
    (directory) => {
      writeFileSync(join(directory, 'disk.raw'), content());
      writeFileSync(join(directory, 'job.toml'), `${DATA}[spool]\narchive = "/tmp/h2k-escaped"\n`);
    },
    { ownOptions: true },
  ),
];
