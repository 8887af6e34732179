import { describe, expect, it } from 'vitest';
import { Hyper2kvmError } from '../../../src/errors/error.js';
import { S_IFREG, writeNewc } from '../../../src/guest/cpio.js';
import { rebuildInitramfs } from '../../../src/operations/rebuild-initramfs.js';
import { memoryWriter } from '../access/memory-writer.js';

const PATH = '/boot/initrd.img-6.1';
const BACKUP = `${PATH}.hyper2kvm-before`;
const { signal } = new AbortController();

/** Rebuilds in a guest whose tool does what `tool` does to its files. */
function rebuild(tool: (files: Map<string, Buffer>) => void) {
  const guest = memoryWriter({ [PATH]: 'old' });
  const run = async () => {
    tool(guest.files);
    return '';
  };
  const operation = {
    ...{ op: 'rebuild_initramfs' as const, fixer: 'initramfs', reason: 'asked for', path: PATH },
    ...{ kernel: '6.1', command: ['update-initramfs', '-u'], modules: ['virtio_blk'] },
  };
  const done = rebuildInitramfs.execute({ ...guest, run }, operation, { signal, listings: {} });
  return { files: guest.files, done };
}
const archive = (module: string) =>
  writeNewc([{ path: `lib/modules/6.1/${module}.ko`, mode: S_IFREG, data: Buffer.from('x') }]);

describe('rebuild_initramfs', () => {
  it('keeps a copy until the new one lists the drivers, and leaves nothing behind', async () => {
    const { files, done } = rebuild((there) => {
      expect(there.get(BACKUP)?.toString()).toBe('old');
      there.set(PATH, archive('virtio_blk'));
    });
    expect(await done).toEqual([`${PATH}: rebuilt by update-initramfs, 1 modules listed on reading back`]);
    expect([...files.keys()]).toEqual([PATH]);
  });

  it('fails where the tool leaves a driver out, with the copy still there', async () => {
    const { files, done } = rebuild((there) => there.set(PATH, archive('ext4')));
    await expect(done).rejects.toMatchObject({ code: 'fix.initramfs-unproven' });
    expect(files.get(BACKUP)?.toString()).toBe('old');
  });

  it('names the command where it fails in the guest, and passes on what says more', async () => {
    const failing = (code: 'guest.call-failed' | 'guest.died') =>
      rebuild(() => {
        throw new Hyper2kvmError(code, 'no');
      }).done;
    await expect(failing('guest.call-failed')).rejects.toMatchObject({
      code: 'fix.rebuild-failed',
      message: 'update-initramfs -u failed in the guest',
    });
    await expect(failing('guest.died')).rejects.toMatchObject({ code: 'guest.died' });
  });
});
