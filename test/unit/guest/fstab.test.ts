import { describe, expect, it } from 'vitest';
import { mayBeAbsent, parseFstab, unescapeField } from '../../../src/guest/fstab.js';

describe('parseFstab', () => {
  it('gives each entry its number, fields and columns', () => {
    const text =
      '# comment\n\n  UUID=1\t/my\\040data  ext4 noatime,subvol=@ 0 2\r\n/swapfile none swap\n   # indented\n';
    const [data, swap, ...others] = parseFstab(text);
    expect(others).toEqual([]);
    expect(data).toEqual({
      index: 2,
      text: '  UUID=1\t/my\\040data  ext4 noatime,subvol=@ 0 2\r',
      spec: 'UUID=1',
      mountpoint: '/my data',
      type: 'ext4',
      options: ['noatime', 'subvol=@'],
      columns: [
        { start: 2, end: 8 },
        { start: 9, end: 20 },
        { start: 22, end: 26 },
        { start: 27, end: 43 },
      ],
    });
    expect(swap).toMatchObject({
      index: 3,
      spec: '/swapfile',
      mountpoint: 'none',
      type: 'swap',
      options: [],
    });
  });

  it('leaves what a line does not have empty', () => {
    expect(parseFstab('one\ntwo /data\n')).toMatchObject([
      { spec: 'one', mountpoint: '', type: '', options: [], columns: [{ start: 0, end: 3 }] },
      { spec: 'two', mountpoint: '/data', type: '', options: [] },
    ]);
  });

  it('passes over a line that is longer than any real one', () => {
    expect(parseFstab(`/dev/sda1 / ext4 ${'a,'.repeat(5000)}\nUUID=1 / ext4\n`)).toMatchObject([
      { index: 1 },
    ]);
  });
});

it('an entry may be absent with nofail or noauto, whole words', () => {
  const [one, two, three] = parseFstab('a /a x ro,nofail\nb /b x noauto\nc /c x nofail_not\n');
  expect([one, two, three].map((entry) => entry !== undefined && mayBeAbsent(entry))).toEqual([
    true,
    true,
    false,
  ]);
});

it('escapes are octal, of three digits', () => {
  expect(unescapeField('/a\\040b\\011c\\134d\\99')).toBe('/a b\tc\\d\\99');
});
