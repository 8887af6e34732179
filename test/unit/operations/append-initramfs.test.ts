import { expect, it } from 'vitest';
import { S_IFDIR, S_IFREG, writeNewc } from '../../../src/guest/cpio.js';
import { listInitramfs } from '../../../src/guest/initramfs-listing.js';
import { executeOperations } from '../../../src/operations/execute-operations.js';
import type { Operation } from '../../../src/operations/registry.js';
import { memoryWriter } from '../access/memory-writer.js';

const { signal } = new AbortController();
const cause = { fixer: 'test', reason: 'test' };

it('two kernels that share an initramfs both get their drivers into it', async () => {
  const archive = writeNewc([
    { path: 'lib', mode: S_IFDIR | 0o755 },
    { path: 'init', mode: S_IFREG | 0o755, data: Buffer.from('#!/bin/sh\n') },
  ]);
  const path = '/boot/initramfs-linux.img';
  const driver = (version: string) => `/lib/modules/${version}/kernel/virtio_blk.ko`;
  const target = memoryWriter({ [path]: archive, [driver('6.1-a')]: 'a', [driver('6.1-b')]: 'b' });
  const operations = ['6.1-a', '6.1-b'].map(
    (kernel): Operation => ({
      op: 'append_initramfs',
      ...cause,
      path,
      kernel,
      lib: 'lib',
      files: [driver(kernel)],
      modules: ['virtio_blk'],
    }),
  );
  const listings = { [path]: await listInitramfs(archive, signal) };
  await executeOperations(target, operations, { signal, listings });
  const after = await listInitramfs(target.files.get(path)!, signal);
  expect(after).toMatchObject({
    unreadable: null,
    files: ['init', ...['6.1-a', '6.1-b'].map((v) => driver(v).slice(1))],
  });
  expect(listings[path]).toEqual(after);
});

it.each([
  ['one bit of it is another', (bytes: Buffer) => Buffer.from([...bytes.subarray(0, -1), bytes.at(-1)! ^ 1])],
  ['its end is missing', (bytes: Buffer) => bytes.subarray(0, -4)],
])('what was appended to an initramfs is not proven where %s', async (_, damage) => {
  const archive = writeNewc([{ path: 'lib', mode: S_IFDIR | 0o755 }]);
  const path = '/boot/initrd.img-6.1';
  const module = '/lib/modules/6.1/kernel/virtio_blk.ko';
  const target = memoryWriter({ [path]: archive, [module]: 'module' });
  const append = (file: string, bytes: Buffer, offset: number) => target.append(file, damage(bytes), offset);
  const operation: Operation = {
    ...{ op: 'append_initramfs', ...cause, path, kernel: '6.1', lib: 'lib' },
    ...{ files: [module], modules: ['virtio_blk'] },
  };
  const listings = { [path]: await listInitramfs(archive, signal) };
  const damaging = { ...target, append };
  await expect(executeOperations(damaging, [operation], { signal, listings })).rejects.toMatchObject({
    code: 'fix.initramfs-unproven',
  });
});

it('takes an initramfs that the guest made anew during a rebuild, if all drivers are in it, and no other change', async () => {
  const path = '/efi/EFI/Linux/a.efi:.initrd';
  const listings = { [path]: await listInitramfs(writeNewc([{ path: 'lib', mode: S_IFDIR }]), signal) };
  const proofs = (module: string) => {
    const file = { path: `lib/modules/6.1/${module}.ko`, mode: S_IFREG, data: Buffer.from('x') };
    const operation: Operation = {
      ...{ op: 'append_initramfs', ...cause, path, kernel: '6.1', lib: 'lib' },
      ...{ files: [], modules: ['virtio_blk'] },
    };
    const target = memoryWriter({ [path]: writeNewc([file]) });
    return executeOperations(target, [operation], { signal, listings });
  };
  expect(await proofs('virtio_blk')).toEqual([expect.stringContaining('rebuilt by the guest')]);
  await expect(proofs('vmw_pvscsi')).rejects.toMatchObject({ code: 'fix.initramfs-changed' });
});
