import { describe, expect, it } from 'vitest';
import {
  datastorePathText,
  folderUrl,
  parseDatastorePath,
} from '../../../../../../src/sources/remote/transports/vsphere/datastore-path.js';

describe('parseDatastorePath', () => {
  it.each([
    ['[ds1] web01/web01.vmdk', { datastore: 'ds1', folder: 'web01', file: 'web01.vmdk' }],
    ['[a b (1)] x/y z/ä.vmdk', { datastore: 'a b (1)', folder: 'x/y z', file: 'ä.vmdk' }],
    ['[ds1] top.vmdk', { datastore: 'ds1', folder: '', file: 'top.vmdk' }],
    ['[ds1]top.vmdk', { datastore: 'ds1', folder: '', file: 'top.vmdk' }],
  ])('parses %j', (text, parsed) => {
    expect(parseDatastorePath(text)).toEqual(parsed);
    expect(parseDatastorePath(datastorePathText(parsed))).toEqual(parsed);
  });

  it.each([
    '',
    'web01/web01.vmdk',
    '[ds1]',
    '[ds1] ',
    '[] a.vmdk',
    '[ds1] /etc/passwd',
    '[ds1] ../a.vmdk',
    '[ds1] a/./b.vmdk',
    '[ds1] a//b.vmdk',
    '[ds1] a/b\\c.vmdk',
    '[ds1] a/b\nc.vmdk',
    `[ds1] ${'a'.repeat(250)}`,
    `[${'d'.repeat(300)}] a.vmdk`,
  ])('refuses %j', (text) => {
    expect(() => parseDatastorePath(text)).toThrow(
      expect.objectContaining({ code: 'remote.unsupported-disk' }),
    );
  });
});

describe('folderUrl', () => {
  const base = new URL('https://vc.example.com:8443/');
  const path = { datastore: 'a&b', folder: 'x y/?', file: 'a#%.vmdk' };

  it('encodes every name', () => {
    expect(folderUrl(base, path, 'F/DC=1', 1).href).toBe(
      'https://vc.example.com:8443/folder/x%20y/%3F/a%23%25.vmdk?dcPath=F%2FDC%3D1&dsName=a%26b',
    );
  });

  it('encodes the names of the query twice for servers that decode them twice', () => {
    expect(folderUrl(base, path, 'F/DC', 2).search).toBe('?dcPath=F%252FDC&dsName=a%2526b');
  });
});
