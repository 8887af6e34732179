import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { unpackIso } from '../../src/families/windows/drivers/iso.js';
import { openVirtioWin } from '../../src/families/windows/drivers/open.js';
import { FIRST_SECTOR, type IsoRecord, isoDirectory, makeIso } from './support/iso-image.ts';

const scratch = mkdtempSync(join(tmpdir(), 'h2k-iso-'));
afterAll(() => rmSync(scratch, { recursive: true }));
const invalid = expect.objectContaining({ code: 'windows.virtio-win-invalid' });
const signal = () => AbortSignal.timeout(300_000);

let count = 0;
function place(name: string): string {
  count += 1;
  return join(scratch, `${count}-${name}`);
}
const pathsOf = (files: { path: string }[]) => files.map(({ path }) => path);

/** What of the tree guests may get. */
const WANTED = [
  'NetKVM/2k19/amd64/netkvm.inf',
  'guest-agent/qemu-ga-x86_64.msi',
  'viostor/w10/amd64/viostor.cat',
  'viostor/w10/amd64/viostor.inf',
  'viostor/w10/amd64/viostor.sys',
];
let tree: string;
beforeAll(() => {
  tree = place('tree');
  for (const path of [...WANTED, 'viostor/w10/amd64/viostor.pdb', 'virtio-win-guest-tools.exe']) {
    mkdirSync(join(tree, path, '..'), { recursive: true });
    writeFileSync(join(tree, path), `content of ${path}`);
  }
  made = xorriso(tree);
});
/** An image of `WANTED`, and of what guests do not get. */
const image = () => copyOf(made);
let made: string;
function copyOf(iso: string): string {
  const copy = place('virtio-win.iso');
  copyFileSync(iso, copy);
  return copy;
}
function xorriso(source: string, ...options: string[]): string {
  const iso = place('virtio-win.iso');
  const args = ['-report_about', 'FAILURE', ...options, '-outdev', iso, '-map', source, '/', '-commit'];
  execFileSync('xorriso', args, { stdio: 'pipe' });
  return iso;
}

describe('a virtio-win ISO', () => {
  it.each<[string, string[]]>([
    ['Rock Ridge and Joliet', ['-joliet', 'on']],
    ['Rock Ridge', []],
    ['Joliet', ['-rockridge', 'off', '-joliet', 'on']],
    [
      'plain long names',
      [
        '-rockridge',
        'off',
        '-compliance',
        'iso_9660_level=3:long_paths:lowercase:no_force_dots:omit_version:full_ascii',
      ],
    ],
  ])('with %s gives the files that guests may get', async (_, options) => {
    const { form, files } = await openVirtioWin(xorriso(tree, ...options), place('cache'), signal());
    expect(form).toBe('iso');
    expect(files.map(({ path, size }) => ({ path, size }))).toEqual(
      WANTED.map((path) => ({ path, size: statSync(join(tree, path)).size })),
    );
  });

  it('is unpacked once, until it changes', async () => {
    const [iso, cache] = [image(), place('cache')];
    const first = await unpackIso(iso, cache, signal());
    const [source = ''] = first.map((file) => file.source);
    writeFileSync(source, 'as it was unpacked: the same size');
    expect(await unpackIso(iso, cache, signal())).toEqual(
      first.map((file) => (file.source === source ? { ...file, size: 33 } : file)),
    );
    writeFileSync(iso, '', { flag: 'a' });
    utimesSync(iso, new Date(), new Date());
    const again = await unpackIso(iso, cache, signal());
    expect(again[0]?.size).toBe(first[0]?.size);
    expect(again[0]?.source).not.toBe(source);
  });

  it('that nobody has used for a month is removed when another one is unpacked', async () => {
    const cache = place('cache');
    const [unused, foreign] = [join(cache, 'hyper2kvm-virtio-win-unused'), join(cache, 'virtio-win-0.1.240')];
    for (const directory of [unused, foreign]) mkdirSync(directory, { recursive: true });
    writeFileSync(join(cache, 'of-somebody-else'), '');
    for (const directory of [unused, foreign]) utimesSync(directory, new Date(0), new Date(0));
    utimesSync(join(cache, 'of-somebody-else'), new Date(0), new Date(0));
    await unpackIso(image(), cache, signal());
    expect(existsSync(unused)).toBe(false);
    expect(existsSync(foreign)).toBe(true);
    expect(existsSync(join(cache, 'of-somebody-else'))).toBe(true);
    expect(readdirSync(cache)).toHaveLength(3);
  });

  it('that somebody else may have unpacked is not used', async () => {
    const [iso, cache] = [image(), place('cache')];
    await unpackIso(iso, cache, signal());
    const [name = ''] = readdirSync(cache);
    chmodSync(join(cache, name), 0o777);
    await expect(unpackIso(iso, cache, signal())).rejects.toEqual(invalid);
    renameSync(join(cache, name), join(cache, 'elsewhere'));
    symlinkSync('elsewhere', join(cache, name));
    await expect(unpackIso(iso, cache, signal())).rejects.toEqual(invalid);
  });

  it('is unpacked by two jobs at once', async () => {
    const [iso, cache] = [image(), place('cache')];
    const both = await Promise.all([unpackIso(iso, cache, signal()), unpackIso(iso, cache, signal())]);
    for (const files of both) expect(pathsOf(files)).toEqual(WANTED);
    expect(readdirSync(cache)).toHaveLength(1);
  });

  it('may stand in a directory where there is nothing else of use', async () => {
    const directory = place('share');
    mkdirSync(directory);
    symlinkSync(image(), join(directory, 'virtio-win.iso'));
    const { form, files } = await openVirtioWin(directory, place('cache'), signal());
    expect(form).toBe('iso');
    expect(pathsOf(files)).toEqual(WANTED);
  });

  it('has no links for us', async () => {
    const linked = place('linked');
    execFileSync('cp', ['-r', tree, linked]);
    symlinkSync('/etc/passwd', join(linked, 'viostor/w10/amd64/extra.inf'));
    symlinkSync('..', join(linked, 'viostor/w10/amd64/up'));
    expect(pathsOf(await unpackIso(xorriso(linked), place('cache'), signal()))).toEqual(WANTED);
  });
});

describe('a hostile ISO', () => {
  const [ROOT, OS, ARCHITECTURE, CONTENT] = [18, 20, 21, 19].map((sector) => sector - 18 + FIRST_SECTOR) as [
    number,
    number,
    number,
    number,
  ];
  const directory = (name: string, extent: number, size = 2048) => ({
    name,
    extent,
    size,
    isDirectory: true,
  });
  const file = (name: string, extent: number, size: number) => ({ name, extent, size });
  /** `W10/AMD64` with these records. */
  function hostile(records: readonly IsoRecord[], { osSize = 2048, rootName = 'W10' } = {}): string {
    const drivers = isoDirectory(ARCHITECTURE, records);
    const iso = place('hostile.iso');
    const content = makeIso(
      { extent: ROOT, size: 2048 },
      {
        [ROOT]: isoDirectory(ROOT, [directory(rootName, OS, osSize)]),
        [CONTENT]: Buffer.from('content'),
        [OS]: isoDirectory(OS, [directory('AMD64', ARCHITECTURE, drivers.length)]),
        [ARCHITECTURE]: drivers,
      },
    );
    writeFileSync(iso, content);
    return iso;
  }
  const good = file('VIOSTOR.INF', CONTENT, 7);
  const unpack = async (iso: string) => {
    const cache = place('cache');
    try {
      return await unpackIso(iso, cache, signal());
    } finally {
      // Whatever happens, nothing half unpacked stays.
      for (const name of readdirSync(cache)) expect(name).toMatch(/^hyper2kvm-virtio-win-[0-9a-f]{32}$/);
    }
  };

  it('is an ordinary one without the harm', async () => {
    expect(pathsOf(await unpack(hostile([good])))).toEqual(['W10/AMD64/VIOSTOR.INF']);
  });
  it('has a directory that contains itself', async () => {
    await expect(unpack(hostile([good, directory('LOOP', ROOT)]))).rejects.toEqual(invalid);
    await expect(unpack(hostile([good, directory('LOOP', ARCHITECTURE)]))).rejects.toEqual(invalid);
  });
  it('has a file of 4 GiB that is not there', async () => {
    const large = file('VIOSTOR.SYS', CONTENT, 0xffff_f000);
    await expect(unpack(hostile([good, large]))).rejects.toEqual(invalid);
  });
  it('has a file behind its end', async () => {
    await expect(unpack(hostile([good, file('VIOSTOR.SYS', 0xffff_0000, 4096)]))).rejects.toEqual(invalid);
  });
  it('has many files of the same content, which are too much together', async () => {
    const many = Array.from({ length: 40 }, (_, index) => file(`A${index}.SYS`, CONTENT, 120 * 1024 ** 2));
    await expect(unpack(hostile(many))).rejects.toEqual(invalid);
  });
  it('has a directory of 2 GiB', async () => {
    await expect(unpack(hostile([good], { osSize: 0x7fff_f800 }))).rejects.toEqual(invalid);
  });
  it('has a hundred thousand files', async () => {
    const many = Array.from({ length: 100_000 }, (_, index) => file(`A${index}.INF`, CONTENT, 7));
    await expect(unpack(hostile(many))).rejects.toEqual(invalid);
  });
  it('has more drivers than any', async () => {
    const many = Array.from({ length: 20_001 }, (_, index) => file(`A${index}.INF`, CONTENT, 7));
    await expect(unpack(hostile(many))).rejects.toEqual(invalid);
  });
  it('has names that lead out of it', async () => {
    for (const name of [
      '../../../../OUT.INF',
      '..\\..\\OUT.INF',
      '/OUT.INF',
      'A\n\nPath = OUT.INF\nFolder = -\nSize = 7\n',
    ])
      expect(pathsOf(await unpack(hostile([good, file(name, CONTENT, 7)])))).toEqual([
        'W10/AMD64/VIOSTOR.INF',
      ]);
    expect(existsSync(join(scratch, 'OUT.INF'))).toBe(false);
  });
  it('has directories that multiply, because they share their content', async () => {
    const sectors = Array.from({ length: 10 }, (_, level) => 40 + level * 2);
    const levels = sectors.map((sector): [number, Buffer] => {
      const below = sector === sectors.at(-1) ? ARCHITECTURE : sector + 2;
      return [
        sector,
        isoDirectory(
          sector,
          Array.from({ length: 30 }, (_, index) => directory(`D${index}`, below)),
        ),
      ];
    });
    const iso = place('hostile.iso');
    const leaf = isoDirectory(ARCHITECTURE, [good]);
    const content = makeIso(
      { extent: 40, size: 2048 },
      { ...Object.fromEntries(levels), [ARCHITECTURE]: leaf },
    );
    writeFileSync(iso, content);
    await expect(unpack(iso)).rejects.toEqual(invalid);
  });
  it('has names that mean patterns or options to a program', async () => {
    const iso = hostile([
      good,
      file('@LIST.INF', CONTENT, 7),
      file('-O.INF', CONTENT, 7),
      file('*.INF', CONTENT, 7),
    ]);
    expect(pathsOf(await unpack(iso)).sort()).toEqual(
      ['*.INF', '-O.INF', '@LIST.INF', 'VIOSTOR.INF'].map((name) => `W10/AMD64/${name}`),
    );
  });
  it('is text, empty, or cut off', async () => {
    for (const content of [
      Buffer.from('text'),
      Buffer.alloc(0),
      makeIso({ extent: ROOT, size: 2048 }, { 19: Buffer.alloc(1) }).subarray(0, 33_000),
    ]) {
      const iso = place('no.iso');
      writeFileSync(iso, content);
      await expect(unpack(iso)).rejects.toEqual(invalid);
    }
  });
});
