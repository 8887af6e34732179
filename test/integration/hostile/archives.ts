import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ovfText } from '../../unit/disk/ovf-text.js';
import { type HostileCase, type Lure, one, patched, rawDisk, several } from './corpus.js';

const MIB = 1024 * 1024;

/** An OVA of `files`, by tar with further arguments. */
function ova(directory: string, files: Record<string, Buffer | string>, args: readonly string[] = []): void {
  const inside = join(directory, 'inside');
  mkdirSync(inside);
  for (const [name, content] of Object.entries(files)) writeFileSync(join(inside, name), content);
  execFileSync('tar', ['--format=ustar', '-P', ...args, '-cf', '../x.ova', ...Object.keys(files)], {
    cwd: inside,
  });
  rmSync(inside, { recursive: true });
}

const disk = ({ images }: Lure) => images['stream.vmdk']!;

function renamed(title: string, name: string, expected = 'fetch.refused-reference'): HostileCase {
  return several(title, expected, (directory, lure) =>
    ova(directory, { 'a.ovf': ovfText(['b.vmdk']), 'b.vmdk': disk(lure) }, [
      `--transform=s,^b.vmdk$,${name},`,
    ]),
  );
}

function xml(title: string, expected: string | readonly string[], text: (lure: Lure) => string): HostileCase {
  return several(title, expected, (directory, lure) => {
    writeFileSync(join(directory, 'x.ovf'), text(lure));
    writeFileSync(join(directory, 'a.vmdk'), disk(lure));
  });
}

const dtd = (body: string, use: string) =>
  ovfText(['a.vmdk']).replace('?>', `?>\n<!DOCTYPE Envelope [${body}]>`).replace('web &amp; db', use);

export const ARCHIVES: readonly HostileCase[] = [
  renamed('OVA member: ../', '../../../../../../tmp/h2k-escaped.vmdk'),
  renamed('OVA member: absolute', '/tmp/h2k-escaped.vmdk'),
  renamed('OVA member: in a directory', 'etc/cron.d/h2k', 'fetch.missing-disk'),
  several('OVA member: a symbolic link to the canary', 'fetch.refused-special', (directory, { canary }) => {
    symlinkSync(canary, join(directory, 'b.raw'));
    execFileSync('tar', ['--format=ustar', '-P', '-cf', 'x.ova', 'b.raw'], { cwd: directory });
    rmSync(join(directory, 'b.raw'));
  }),
  several(
    'OVA member: a hard link to the canary',
    ['fetch.refused-special', 'fetch.refused-reference'],
    (directory, lure) => {
      ova(directory, { 'b.raw': rawDisk(MIB) });
      const bytes = readFileSync(join(directory, 'x.ova'));
      writeFileSync(
        join(directory, 'x.ova'),
        withHeader(bytes, [156, '1'], [157, lure.canary], [124, '00000000000\0']),
      );
    },
  ),
  several('OVA member: a device', 'fetch.refused-special', (directory) => {
    ova(directory, { 'b.raw': rawDisk(MIB) });
    const bytes = readFileSync(join(directory, 'x.ova'));
    writeFileSync(join(directory, 'x.ova'), withHeader(bytes, [156, '4'], [124, '00000000000\0']));
  }),
  several(
    'OVA member: a sparse file of GNU tar whose map says nothing of its data',
    'fetch.corrupt',
    (directory) => {
      ova(directory, { 'b.raw': rawDisk(MIB) });
      const bytes = readFileSync(join(directory, 'x.ova'));
      writeFileSync(join(directory, 'x.ova'), withHeader(bytes, [156, 'S']));
    },
  ),
  several('OVA member: two of one name', 'fetch.corrupt', (directory, lure) =>
    ova(directory, { 'a.vmdk': disk(lure), 'b.vmdk': disk(lure) }, ['--transform=s,^b,a,']),
  ),
  several('OVA member: larger than the archive', 'fetch.truncated', (directory) => {
    ova(directory, { 'b.raw': rawDisk(MIB) });
    const bytes = readFileSync(join(directory, 'x.ova'));
    writeFileSync(join(directory, 'x.ova'), withHeader(bytes, [124, '77777777777\0']));
  }),
  several('OVA member: a negative size', ['fetch.corrupt', 'fetch.truncated'], (directory) => {
    ova(directory, { 'b.raw': rawDisk(MIB) });
    const bytes = readFileSync(join(directory, 'x.ova'));
    writeFileSync(join(directory, 'x.ova'), withHeader(bytes, [124, Buffer.alloc(12, 0xff)]));
  }),
  several('OVA: 2000 members', 'fetch.corrupt', (directory) => {
    const names = Array.from({ length: 2000 }, (_, i) => [`f${i}.txt`, ''] as const);
    ova(directory, Object.fromEntries(names));
  }),
  several('OVA: an OVA within', 'converted', (directory, lure) => {
    ova(directory, { 'b.vmdk': disk(lure) });
    const inner = readFileSync(join(directory, 'x.ova'));
    rmSync(join(directory, 'x.ova'));
    ova(directory, { 'inner.ova': inner });
  }),
  several('OVA: two OVFs', 'fetch.several-vms', (directory, lure) =>
    ova(directory, { 'a.ovf': ovfText(['b.vmdk']), 'c.ovf': ovfText(['b.vmdk']), 'b.vmdk': disk(lure) }),
  ),
  several('OVA: the manifest lies', 'fetch.digest-mismatch', (directory, lure) =>
    ova(directory, {
      'a.ovf': ovfText(['b.vmdk']),
      'a.mf': `SHA256(b.vmdk)= ${'0'.repeat(64)}\n`,
      'b.vmdk': disk(lure),
    }),
  ),
  several('OVA: a manifest of 100,000 lines', 'fetch.corrupt', (directory, lure) =>
    ova(directory, {
      'a.ovf': ovfText(['b.vmdk']),
      'a.mf': `SHA1(b.vmdk)= ${'0'.repeat(40)}\n`.repeat(70_000),
      'b.vmdk': disk(lure),
    }),
  ),
  xml('OVF: an external entity', 'fetch.corrupt', ({ canary }) =>
    dtd(`<!ENTITY x SYSTEM "file://${canary}">`, '&x;'),
  ),
  xml('OVF: an external entity from the net', 'fetch.corrupt', ({ port }) =>
    dtd(`<!ENTITY x SYSTEM "http://127.0.0.1:${port}/">`, '&x;'),
  ),
  xml('OVF: entities that multiply', 'fetch.corrupt', () => {
    const levels = Array.from({ length: 10 }, (_, i) => `<!ENTITY l${i + 1} "${`&l${i};`.repeat(10)}">`);
    return dtd(`<!ENTITY l0 "lol">${levels.join('')}`, '&l10;');
  }),
  xml('OVF: 100,000 elements', 'fetch.corrupt', () =>
    ovfText(['a.vmdk']).replace('<Name>', `${'<Info/>'.repeat(100_000)}<Name>`),
  ),
  xml('OVF: 10,000 levels', 'fetch.corrupt', () =>
    ovfText(['a.vmdk']).replace('<Name>', `${'<x>'.repeat(10_000)}<Name>`),
  ),
  xml('OVF: an attribute that a backtracking pattern would stall on', ['fetch.corrupt', 'converted'], () =>
    ovfText(['a.vmdk']).replace('<Name>', `<a ${'b = "c" '.repeat(50_000)} d=<Name>`),
  ),
  xml('OVF: a disk elsewhere', 'fetch.refused-reference', ({ canary }) => ovfText([canary])),
  xml('OVF: a disk upwards', 'fetch.refused-reference', () => ovfText(['../x.vmdk'])),
  xml('OVF: a disk on the net', 'fetch.refused-reference', ({ port }) =>
    ovfText([`http://127.0.0.1:${port}/a.vmdk`]),
  ),
  several('VMX: a disk elsewhere', 'fetch.refused-reference', (directory, lure) => {
    writeFileSync(
      join(directory, 'x.vmx'),
      `scsi0:0.present = "TRUE"\nscsi0:0.fileName = "${lure.canary}"\n`,
    );
    writeFileSync(join(directory, 'a.vmdk'), disk(lure));
  }),
  one('VMX of 100,000 lines', ['fetch.corrupt', 'fetch.no-disk'], 'x.vmx', () => 'a = "b"\n'.repeat(100_000)),
];

/** The first header with other fields and the right checksum. */
function withHeader(archive: Buffer, ...patches: readonly (readonly [number, Buffer | string])[]): Buffer {
  const bytes = patched(archive, ...patches);
  const header = bytes.subarray(0, 512);
  header.fill(0x20, 148, 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return bytes;
}
