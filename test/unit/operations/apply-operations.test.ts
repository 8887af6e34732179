import { describe, expect, it } from 'vitest';
import { applyOperations } from '../../../src/operations/apply-operations.js';
import type { Operation } from '../../../src/operations/registry.js';
import { guestOf } from '../families/guests.js';

const cause = { fixer: 'x', reason: 'y' };

describe('applyOperations', () => {
  it('follows links to the real file, keeps owner and mode, makes parents', () => {
    const guest = guestOf({ files: { '/etc': '-> private/etc', '/private/etc/a': 'old' } });
    const write = (path: string): Operation => ({
      ...{ op: 'write_file', ...cause, path },
      ...{ before: null, after: 'new', encoding: 'utf8', mode: 0o600 },
    });
    const { tree } = applyOperations(guest, [write('/etc/a'), write('/etc/new/deep/b')]);
    expect(tree.get('/private/etc/a')).toMatchObject({ mode: 0o644, size: 3 });
    expect(tree.get('/private/etc/new/deep/b')).toMatchObject({ mode: 0o600 });
    expect(guest.tree.text('/private/etc/a')?.text).toBe('old');
  });

  it('knows what two archives bring to an initramfs that two kernels share', () => {
    const initramfs = {
      ...{ path: '/boot/initrd', size: 4, segments: [], lib: 'lib' as const, unreadable: 'LZMA' },
      ...{ modules: ['ext4'], texts: { 'etc/a': 'old', 'etc/b': 'old' } },
    };
    const kernel = (version: string) => ({ version, image: '/boot/linux', modules: null, initramfs });
    const guest = guestOf({ files: {}, identity: { kernels: [kernel('1'), kernel('2')] } });
    const append = (version: string, module: string): Operation => ({
      ...{ op: 'append_initramfs', ...cause, path: '/boot/initrd', kernel: version, lib: 'lib' },
      ...{ files: [], modules: [module] },
      replace: [
        { path: 'etc/a', text: 'new' },
        { path: 'etc/b', text: null },
      ],
    });
    const { identity } = applyOperations(guest, [append('1', 'virtio_blk'), append('2', 'virtio_net')]);
    const after = {
      modules: ['ext4', 'virtio_blk', 'virtio_net'],
      texts: { 'etc/a': 'new' },
      unreadable: null,
    };
    expect(identity.kernels.map((each) => each.initramfs)).toMatchObject([after, after]);
    expect(identity.kernels[0]?.initramfs?.texts).toEqual({ 'etc/a': 'new' });
    expect(guest.identity.kernels[0]?.initramfs?.modules).toEqual(['ext4']);
  });
});
