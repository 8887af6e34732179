import { describe, expect, test } from 'vitest';
import { configSchema } from '../../../../src/config/schema.js';
import { convertTarget } from '../../../../src/stages/convert/output-format.js';

const target = (options: object) => convertTarget(configSchema.parse({ convert: options }).convert);

describe('what the options come to', () => {
  test('by default a sparse, uncompressed qcow2', () => {
    expect(target({})).toEqual({ targetFormat: 'qcow2', settings: { cluster_size: '65536' } });
  });
  test.each([
    [
      { compression: 'zstd' },
      { compress: true, settings: { cluster_size: '65536', compression_type: 'zstd' } },
    ],
    [
      { preallocation: 'metadata', cluster_size_kib: 2048 },
      { settings: { cluster_size: '2097152', preallocation: 'metadata' } },
    ],
    [{ format: 'raw', preallocation: 'falloc' }, { settings: { preallocation: 'falloc' } }],
    [{ format: 'raw', sparse: false }, { sparse: false }],
    [{ format: 'vdi', preallocation: 'metadata' }, { settings: { static: 'on' } }],
    [{ format: 'vmdk' }, { settings: { subformat: 'monolithicSparse' } }],
    [
      { format: 'vmdk', compression: 'zlib' },
      { compress: true, settings: { subformat: 'streamOptimized' } },
    ],
  ])('%j', (options, expected) => expect(target(options)).toMatchObject(expected));

  test.each([
    { format: 'qcow2', compression: 'zlib', preallocation: 'full' },
    { format: 'raw', preallocation: 'metadata' },
    { format: 'vdi', preallocation: 'full' },
    { format: 'vmdk', preallocation: 'falloc' },
    { format: 'vmdk', compression: 'zstd' },
  ])('refused: %j', (options) => {
    expect(() => target(options)).toThrow(expect.objectContaining({ code: 'convert.unsupported-option' }));
  });

  test('a compression for all VMs does not stop a raw disk', () => {
    expect(target({ format: 'raw', compression: 'zstd' })).toEqual({ targetFormat: 'raw' });
  });

  test.each([3, 96, 4096])('no cluster size of %i KiB', (size) => {
    expect(() => target({ cluster_size_kib: size })).toThrow();
  });
});
