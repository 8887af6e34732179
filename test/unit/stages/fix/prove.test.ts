import { describe, expect, it } from 'vitest';
import type { BootFile } from '../../../../src/families/linux/command-line-files.js';
import { S_IFDIR, S_IFREG, writeNewc } from '../../../../src/guest/cpio.js';
import { listInitramfs } from '../../../../src/guest/initramfs-listing.js';
import type { Operation } from '../../../../src/model/operation.js';
import { execute } from '../../../../src/stages/fix/apply-plan.js';
import type { FixTarget } from '../../../../src/stages/fix/guest-writer.js';
import { proveFiles } from '../../../../src/stages/fix/prove-files.js';
import { proofsOfNames, proveNames as proveNamesBy } from '../../../../src/stages/fix/prove-names.js';
import { targetOf } from './target.js';

const { signal } = new AbortController();
const proveNames = (operations: readonly Operation[], boot: readonly BootFile[], target: FixTarget) =>
  proveNamesBy(operations, { boot, fstab: '/etc/fstab' }, target, proofsOfNames);
const cause = { fixer: 'test', reason: 'test' };

describe('proveNames', () => {
  const GRUB = [{ path: '/boot/grub/grub.cfg', kind: 'grub2' }] as const;
  const fstab = (text: string) => proveNames([], [], targetOf({ '/etc/fstab': text }));

  it('fails where the root is still mounted by an unstable name', async () => {
    await expect(fstab('/dev/sda2 / ext4 defaults 0 1\n')).rejects.toMatchObject({ code: 'fix.unproven' });
  });

  it('lets pass what the plan leaves: CD drives of old IDE names, lines that were never entries', async () => {
    expect(
      await fstab('UUID=1 / ext4 defaults 0 1\n/dev/hdc /media/cdrom iso9660 ro,user 0 0\nnonsense here\n'),
    ).toEqual(['/etc/fstab parses: 2 entries, no unstable device name']);
  });

  it('fails where a line that was written does not parse', async () => {
    const operations: Operation[] = [
      {
        op: 'write_file',
        ...cause,
        path: '/etc/fstab',
        before: 'old\n',
        after: 'UUID=1 /\n',
        encoding: 'utf8',
        mode: 0o644,
      },
    ];
    const proof = proveNames(operations, [], targetOf({ '/etc/fstab': 'UUID=1 /\n' }));
    await expect(proof).rejects.toMatchObject({ code: 'fix.unproven' });
  });

  it('lets pass a resume= on a disk that was not dropped, of which the plan warned, but no such root=', async () => {
    const config = (args: string) => targetOf({ '/boot/grub/grub.cfg': `\tlinux /vmlinuz ${args}\n` });
    expect(await proveNames([], GRUB, config('root=UUID=1 resume=/dev/sdb1'))).toHaveLength(1);
    await expect(proveNames([], GRUB, config('root=/dev/sda1'))).rejects.toMatchObject({
      code: 'fix.unproven',
    });
  });

  it.each([
    ['bls', '/efi/loader/entries/a.conf', 'options ro root=/dev/sda2\n'],
    ['extlinux', '/extlinux.conf', 'APPEND root=/dev/sda2\n'],
    ['grubenv', '/boot/grub2/grubenv', 'kernelopts=root=/dev/sda2 ro\n'],
    ['grub-legacy', '/boot/grub/grub.conf', 'kernel /vmlinuz root=/dev/sda2\n'],
    ['grub-defaults', '/etc/default/grub', 'GRUB_CMDLINE_LINUX="root=/dev/sda2"\n'],
  ] as const)('looks at every boot file of the guest: %s', async (kind, path, text) => {
    const proof = (content: string) => proveNames([], [{ path, kind }], targetOf({ [path]: content }));
    expect(await proof(text.replace('/dev/sda2', 'UUID=1'))).toEqual([
      `${path}: 1 kernel command line, no unstable root`,
    ]);
    await expect(proof(text)).rejects.toMatchObject({ code: 'fix.unproven' });
  });
});

it('proveFiles fails where a changed file reads back otherwise, or a removed one is still there', async () => {
  const write: Operation = {
    ...{ op: 'write_file', ...cause, path: '/etc/fstab', before: 'old', after: 'new' },
    ...{ encoding: 'utf8', mode: 0o644 },
  };
  const remove: Operation = { op: 'remove', ...cause, path: '/etc/pin', before: '', encoding: 'utf8' };
  const prove = (files: Record<string, string>) => proveFiles([write, remove], targetOf(files));
  expect(await prove({ '/etc/fstab': 'new' })).toEqual(['2 changed files read back as planned']);
  for (const files of [{ '/etc/fstab': 'old' }, {}, { '/etc/fstab': 'new', '/etc/pin': '' }])
    await expect(prove(files)).rejects.toMatchObject({ code: 'fix.unproven' });
});

it('proveFiles compares a copied loader with its original', async () => {
  const copy: Operation = { op: 'copy_file', ...cause, from: '/a', path: '/b' };
  expect(await proveFiles([copy], targetOf({ '/a': 'loader', '/b': 'loader' }))).toHaveLength(1);
  const cut = proveFiles([copy], targetOf({ '/a': 'loader', '/b': 'load' }));
  await expect(cut).rejects.toMatchObject({ code: 'fix.unproven' });
});

it('two kernels that share an initramfs both get their drivers into it', async () => {
  const archive = writeNewc([
    { path: 'lib', mode: S_IFDIR | 0o755 },
    { path: 'init', mode: S_IFREG | 0o755, data: Buffer.from('#!/bin/sh\n') },
  ]);
  const path = '/boot/initramfs-linux.img';
  const driver = (version: string) => `/lib/modules/${version}/kernel/virtio_blk.ko`;
  const target = targetOf({ [path]: archive, [driver('6.1-a')]: 'a', [driver('6.1-b')]: 'b' });
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
  await execute(operations, { target, signal, listings, onStep: () => {} });
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
  const target = targetOf({ [path]: archive, [module]: 'module' });
  const append = (file: string, bytes: Buffer, offset: number) => target.append(file, damage(bytes), offset);
  const operation: Operation = {
    ...{ op: 'append_initramfs', ...cause, path, kernel: '6.1', lib: 'lib' },
    ...{ files: [module], modules: ['virtio_blk'] },
  };
  const listings = { [path]: await listInitramfs(archive, signal) };
  const execution = { target: { ...target, append }, signal, listings, onStep: () => {} };
  await expect(execute([operation], execution)).rejects.toMatchObject({ code: 'fix.initramfs-unproven' });
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
    const target = targetOf({ [path]: writeNewc([file]) });
    return execute([operation], { target, signal, listings, onStep: () => {} });
  };
  expect(await proofs('virtio_blk')).toEqual([expect.stringContaining('made anew by the guest')]);
  await expect(proofs('vmw_pvscsi')).rejects.toMatchObject({ code: 'fix.initramfs-changed' });
});
