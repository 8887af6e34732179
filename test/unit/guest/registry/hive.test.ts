import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openHive, type RegistryKey } from '../../../../src/guest/registry/hive.js';
import { upperCase } from '../../../../src/guest/registry/names.js';
import { printKey, valueLine } from '../../../../src/guest/registry/print.js';
import { numberOf, textOf, textsOf } from '../../../../src/guest/registry/value.js';
import { binary, dword, type MadeKey, makeHive, multiSz, sealBaseBlock, sz } from './make-hive.ts';

const big = Buffer.from(Array.from({ length: 50_000 }, (_, index) => index % 251));
/** A SYSTEM hive in small: two control sets, an empty service key, a list that is split, a class name. */
const TREE: MadeKey = {
  name: 'ROOT',
  keys: [
    { name: 'Select', values: [dword('Current', 1), dword('Default', 1), dword('LastKnownGood', 2)] },
    {
      name: 'ControlSet001',
      security: 1,
      keys: [
        {
          name: 'Services',
          keys: [
            {
              name: 'viostor',
              values: [
                dword('Start', 0),
                sz('ImagePath', 'system32\\drivers\\viostor.sys', 2),
                multiSz('Owners', ['oem1.inf', 'oem2.inf']),
                { name: '', type: 1, data: Buffer.from('default\0', 'utf16le') },
              ],
            },
            { name: 'GISvc' },
            { name: 'Überwachung', values: [sz('Größe', 'ß')] },
            { name: 'Служба', values: [sz('имя', 'значение')] },
          ],
        },
        { name: 'Control', keys: [{ name: 'Lsa', keys: [{ name: 'JD', className: '1a2b3c4d' }] }] },
      ],
    },
    {
      name: 'ControlSet002',
      keys: Array.from({ length: 1200 }, (_, index) => ({ name: `key${String(index).padStart(4, '0')}` })),
    },
    {
      name: 'Odd',
      values: [
        { name: 'big', type: 3, data: big },
        { name: 'exactly a segment', type: 3, data: big.subarray(0, 16_344) },
        { name: 'empty', type: 3, data: Buffer.alloc(0) },
        { name: 'three', type: 3, data: Buffer.from([1, 2, 3]) },
        { name: 'type', type: 0xffff_0011, data: Buffer.from('strange') },
        { name: 'qword', type: 11, data: Buffer.from('0100000001000000', 'hex') },
        { name: 'big-endian', type: 5, data: Buffer.from('00000102', 'hex') },
        { name: 'no NUL', type: 1, data: Buffer.from('text', 'utf16le') },
        { name: 'behind the NUL', type: 1, data: Buffer.from('text\0rest\0', 'utf16le') },
        { name: 'odd length', type: 1, data: Buffer.from('7400650078', 'hex') },
        { name: 'short', type: 4, data: Buffer.from([1]) },
        { name: 'no end', type: 7, data: Buffer.from('a\0b', 'utf16le') },
        { name: 'no texts', type: 7, data: Buffer.from('\0', 'utf16le') },
      ],
    },
  ],
};

describe.each([3, 4, 5, 6])('a hive of version 1.%i', (minorVersion) => {
  const hive = openHive(makeHive(TREE, { minorVersion, leafKeys: 100 }));

  it('has every key that was put in, in the order of upper-case names', () => {
    const names = (path: string) => [...(hive.key(path)?.subkeys() ?? [])].map(({ name }) => name);
    expect(names('')).toEqual(['ControlSet001', 'ControlSet002', 'Odd', 'Select']);
    expect(names('ControlSet002')).toHaveLength(1200);
    expect(names('ControlSet002')[1199]).toBe('key1199');
    expect(names('ControlSet001\\Services')).toEqual(['GISvc', 'viostor', 'Überwachung', 'Служба']);
  });

  it('finds keys and values in any case', () => {
    const service = hive.key('controlset001\\SERVICES\\VioStor');
    expect(service?.number('START')).toBe(0);
    expect(service?.text('imagepath')).toBe('system32\\drivers\\viostor.sys');
    expect(service?.text('')).toBe('default');
    expect(hive.key('ControlSet002\\KEY0777')?.name).toBe('key0777');
    expect(hive.key('controlset001\\services\\ÜBERWACHUNG')?.text('GRÖßE')).toBe('ß');
    expect(hive.key('controlset001\\services\\СЛУЖБА')?.text('ИМЯ')).toBe('значение');
    expect(hive.key('ControlSet001\\Services\\GISvc')?.value('Start')).toBeNull();
    expect(hive.key('ControlSet001\\Services\\none\\viostor')).toBeNull();
    expect(hive.key('\\ControlSet001\\')?.name).toBe('ControlSet001');
  });

  it('gives data in the value, in a cell and in segments back byte for byte', () => {
    const odd = hive.key('Odd')!;
    const data = (name: string) => odd.value(name)?.data;
    expect(data('big')?.equals(big)).toBe(true);
    expect(data('exactly a segment')?.equals(big.subarray(0, 16_344))).toBe(true);
    expect(data('empty')).toEqual(Buffer.alloc(0));
    expect(data('three')).toEqual(Buffer.from([1, 2, 3]));
    expect(odd.value('type')).toMatchObject({ type: 0xffff_0011, data: Buffer.from('strange') });
  });

  it('has class names', () => {
    expect(hive.key('ControlSet001\\Control\\Lsa\\JD')?.className).toBe('1a2b3c4d');
    expect(hive.key('ControlSet001\\Control\\Lsa')?.className).toBeNull();
  });
});

describe('values', () => {
  const odd = openHive(makeHive(TREE)).key('Odd')!;

  it('are texts up to the first NUL, which may be missing', () => {
    expect(odd.text('no NUL')).toBe('text');
    expect(odd.text('behind the NUL')).toBe('text');
    expect(odd.text('odd length')).toBe('te');
    expect(odd.text('qword')).toBeNull();
  });

  it('are lists of texts up to the first empty one', () => {
    expect(odd.texts('no end')).toEqual(['a', 'b']);
    expect(odd.texts('no texts')).toEqual([]);
    expect(odd.texts('no NUL')).toEqual(['text']);
    expect(odd.texts('big')).toBeNull();
  });

  it('are numbers of the lengths that their types have', () => {
    expect(odd.number('qword')).toBe(0x1_0000_0001);
    expect(odd.number('big-endian')).toBe(0x0102);
    expect(odd.number('short')).toBeNull();
    expect(odd.number('no NUL')).toBeNull();
  });

  it('are printed as texts only where that says all of them', () => {
    expect(valueLine(sz('Path', 'C:\\"x"'))).toBe('"Path"="C:\\\\\\"x\\""');
    expect(valueLine(sz('', '%a%', 2))).toBe('@=expand_sz:"%a%"');
    expect(valueLine(multiSz('l', ['a', 'b']))).toBe('"l"=multi_sz:"a","b"');
    expect(valueLine(dword('d', 255))).toBe('"d"=dword:000000ff');
    expect(valueLine(binary('b', '00ff'))).toBe('"b"=hex:00,ff');
    expect(valueLine(sz('a\nb', 'c\r'))).toBe('"a\\x0ab"="c\\x0d"');
    expect(valueLine(odd.value('no NUL')!)).toBe('"no NUL"=hex(1):74,00,65,00,78,00,74,00');
    expect(valueLine(odd.value('behind the NUL')!)).toMatch(/^"behind the NUL"=hex\(1\):/);
    expect(valueLine(odd.value('big')!)).toMatch(/… \(45904 bytes more\)$/);
  });

  it('of no other type are texts or numbers', () => {
    const value = { name: 'n', type: 3, data: Buffer.from('a\0', 'utf16le') };
    expect([textOf(value), textsOf(value), numberOf(value)]).toEqual([null, null, null]);
  });
});

describe('names', () => {
  it('compare as Windows does: units by themselves, without ß, ı and ſ', () => {
    expect(upperCase('vioStor_äéя')).toBe('VIOSTOR_ÄÉЯ');
    for (const unit of ['ß', 'ı', 'ſ', 'µ', 'ŉ']) expect(upperCase(`${unit}ä`)).toBe(`${unit}Ä`);
    expect(upperCase('ÿ')).toBe('Ÿ');
  });
});

describe('printing', () => {
  it('shows keys with their paths, and ends where there is too much', () => {
    const hive = openHive(makeHive(TREE));
    expect(printKey(hive.key('Select')!, 'SYSTEM\\Select')).toBe(
      '[SYSTEM\\Select]\n"Current"=dword:00000001\n"Default"=dword:00000001\n"LastKnownGood"=dword:00000002\n\n',
    );
    const lines = printKey(hive.root, 'SYSTEM', 100).split('\n');
    expect(lines).toHaveLength(102);
    expect(lines[100]).toBe('…');
  });
});

/** It opens its output by name, which a socket does not let it. */
const HIVEXML = 'hivexml "$1" | cat';

/** Keys by name and values by type and name, as libhivex reads them. */
function readByHivex(bytes: Buffer): string[] {
  const directory = mkdtempSync(join(tmpdir(), 'h2k-hive-'));
  try {
    const file = join(directory, 'hive');
    writeFileSync(file, bytes);
    const xml = execFileSync('sh', ['-c', HIVEXML, 'sh', file], { maxBuffer: 2 ** 26 }).toString();
    return [
      ...xml.matchAll(/<node name="([^"]*)"|<value type="([^"]*)"(?: [^>]*?)?(?: key="([^"]*)")?/g),
    ].map(([, node, type, key]) => (node === undefined ? `value ${type} ${key ?? ''}` : `node ${node}`));
  } finally {
    rmSync(directory, { recursive: true });
  }
}

it('the hives of these tests are hives for libhivex, too, with the same keys', () => {
  const nodes = readByHivex(makeHive(TREE, { leafKeys: 100 })).filter((line) => line.startsWith('node '));
  const count = (key: RegistryKey): number =>
    [...key.subkeys()].reduce((sum, child) => sum + count(child), 1);
  expect(nodes).toContain('node viostor');
  expect(nodes).toHaveLength(count(openHive(makeHive(TREE, { leafKeys: 100 })).root));
});

describe('a hostile hive', () => {
  const corrupt = expect.objectContaining({ code: 'guest.hive-corrupt' });
  const walk = (bytes: Buffer) => {
    const visit = (key: RegistryKey) => {
      for (const { data } of key.values()) data.at(0);
      for (const child of key.subkeys()) visit(child);
    };
    visit(openHive(bytes).root);
  };
  const small: MadeKey = { name: 'r', keys: [{ name: 'a', keys: [{ name: 'b' }] }, { name: 'c' }] };
  /** Places of the cells that begin with `kind`, in the file. */
  const cells = (bytes: Buffer, kind: string): number[] => {
    const found: number[] = [];
    for (let at = bytes.indexOf(kind); at !== -1; at = bytes.indexOf(kind, at + 2))
      if ((at - 4) % 8 === 0) found.push(at);
    return found;
  };

  it('is refused in every truncation', () => {
    const bytes = makeHive(small);
    for (let length = 0; length < bytes.length; length += 97)
      expect(() => walk(bytes.subarray(0, length))).toThrow(corrupt);
  });

  it('cannot lead back to where it was: a key below itself, or the root below a key', () => {
    for (const target of ['r', 'a']) {
      const bytes = makeHive(small);
      const nodes = cells(bytes, 'nk');
      const named = (name: string) =>
        nodes.find((at) => bytes.toString('latin1', at + 76, at + 77) === name)!;
      const list = bytes.readUInt32LE(named('a') + 28) + 4096 + 4;
      bytes.writeUInt32LE(named(target) - 4 - 4096, list + 4);
      if (target === 'r') bytes.writeUInt32LE(named('a') - 4 - 4096, named('r') + 16);
      expect(() => walk(bytes)).toThrow(corrupt);
    }
  });

  it('cannot list a key twice', () => {
    const bytes = makeHive(small);
    const [list] = cells(bytes, 'lh').filter((at) => bytes.readUInt16LE(at + 2) === 2);
    bytes.copy(bytes, list! + 12, list! + 4, list! + 12);
    expect(() => walk(bytes)).toThrow(corrupt);
  });

  it('cannot have more keys than it has room for', () => {
    const keys = (prefix: string, count: number) =>
      Array.from({ length: count }, (_, index) => ({ name: `${prefix}${index}` }));
    const bytes = makeHive({
      name: 'r',
      leafKeys: 1,
      keys: [{ name: 'a', keys: keys('b', 40) }, ...keys('k', 60)],
    });
    const [list] = cells(bytes, 'ri');
    const large = cells(bytes, 'lh').find((at) => bytes.readUInt16LE(at + 2) === 40)!;
    for (let index = 0; index < 60; index += 1) bytes.writeUInt32LE(large - 4 - 4096, list! + 4 + index * 4);
    // None of the names is read for this: only their number is too large.
    expect(() => openHive(bytes).key('none')).toThrow(corrupt);
  });

  it('cannot make much of little: segments that share their bytes', () => {
    const segment = 16_344;
    const bytes = makeHive({
      name: 'r',
      values: [
        { name: 'v', type: 3, data: big },
        { name: 'list', type: 3, data: Buffer.alloc(4000, 0xaa) },
      ],
    });
    const header = cells(bytes, 'db')[0]!;
    const first = bytes.readUInt32LE(bytes.readUInt32LE(header + 4) + 4096 + 4);
    const list = bytes.indexOf(Buffer.alloc(4000, 0xaa));
    for (let index = 0; index < 1000; index += 1) bytes.writeUInt32LE(first, list + index * 4);
    bytes.writeUInt16LE(1000, header + 2);
    bytes.writeUInt32LE(list - 4 - 4096, header + 4);
    bytes.writeUInt32LE(1000 * segment, cells(bytes, 'vk')[0]! + 4);
    expect(() => walk(bytes)).toThrow(corrupt);
  });

  it('of another version is refused as such', () => {
    for (const [at, number] of [
      [24, 2],
      [24, 7],
      [20, 2],
    ] as const) {
      const bytes = makeHive(small);
      bytes.writeUInt32LE(number, at);
      sealBaseBlock(bytes);
      expect(() => openHive(bytes)).toThrow(expect.objectContaining({ code: 'guest.hive-unsupported' }));
    }
  });

  it.each([3, 4, 5])(
    'with 100,000 keys in its lists is searched in no time (version 1.%i)',
    (minorVersion) => {
      const keys = Array.from({ length: 100_000 }, (_, index) => ({ name: `k${index}` }));
      const hive = openHive(makeHive({ name: 'r', keys }, { minorVersion }));
      const before = process.cpuUsage();
      expect(hive.key('K99999')?.name).toBe('k99999');
      expect(hive.key('none')).toBeNull();
      expect(process.cpuUsage(before).user).toBeLessThan(3e6);
    },
  );
});
