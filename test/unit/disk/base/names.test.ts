import { describe, expect, test } from 'vitest';
import { NameIndex, referencedName } from '../../../../src/disk/base/names.js';

describe('what a reference calls a file', () => {
  test.each([
    ['web01.vmdk', 'web01.vmdk'],
    ['/vmfs/volumes/5458b680/web01/web01.vmdk', 'web01.vmdk'],
    ['[datastore1] web01/web01.vmdk', 'web01.vmdk'],
    ['[datastore1] web01.vmdk', 'web01.vmdk'],
    ['D:\\VMs\\web01\\web01.vmdk', 'web01.vmdk'],
    ['..\\web01\\web01.vmdk', 'web01.vmdk'],
  ])('%s', (reference, name) => {
    expect(referencedName(reference, 'x.vmx')).toBe(name);
  });

  test.each(['json:{}', 'nbd://h/x', 'file:/etc/passwd', '', '/', 'a/..', 'a\u0000b', 'x'.repeat(256)])(
    '%j is refused',
    (reference) => {
      expect(() => referencedName(reference, 'x.vmx')).toThrow(
        expect.objectContaining({ code: 'fetch.refused-reference' }),
      );
    },
  );
});

describe('which file of the drop it is', () => {
  const names = new NameIndex([
    'web01.vmx',
    'web01.vmdk',
    'web01-flat.vmdk',
    'old/web01.vmdk',
    'old/web01-000001.vmdk',
    'disks/data.vmdk',
    'Büro.vmdk',
    'A B.vmdk',
    'twice.vmdk',
    'TWICE.vmdk',
    'one/same.vmdk',
    'two/same.vmdk',
  ]);

  test.each([
    ['web01.vmdk', 'web01.vmx', 'web01.vmdk'],
    // Beside the one that refers to it, before one elsewhere.
    ['web01.vmdk', 'old/web01-000001.vmdk', 'old/web01.vmdk'],
    ['web01-flat.vmdk', 'old/web01.vmdk', 'web01-flat.vmdk'],
    ['./disks/data.vmdk', 'web01.vmx', 'disks/data.vmdk'],
    ['disks\\data.vmdk', 'web01.vmx', 'disks/data.vmdk'],
    ['/vmfs/volumes/x/data.vmdk', 'web01.vmx', 'disks/data.vmdk'],
    ['../elsewhere/web01.vmdk', 'web01.vmx', 'web01.vmdk'],
    // Case, and letters in two parts, as Windows and a Mac write them.
    ['WEB01.VMDK', 'web01.vmx', 'web01.vmdk'],
    ['Bu\u0308ro.vmdk', 'web01.vmx', 'Büro.vmdk'],
    ['twice.vmdk', 'web01.vmx', 'twice.vmdk'],
    // Two that it could be, and none.
    ['Twice.vmdk', 'web01.vmx', null],
    ['same.vmdk', 'web01.vmx', null],
    ['/etc/passwd', 'web01.vmx', null],
  ])('%s in %s', (reference, referrer, expected) => {
    expect(names.find(reference, referrer)).toBe(expected);
  });

  test('a file whose name has a percent sign in it', () => {
    expect(new NameIndex(['web%2001.vmdk']).find('web 01.vmdk', 'x.ovf')).toBe('web%2001.vmdk');
  });
});
