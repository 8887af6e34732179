import { describe, expect, it } from 'vitest';
import { linux } from '../../../src/families/linux/family.js';
import { proofPaths, proveFixers } from '../../../src/families/prove.js';
import { type Files, guestOf, treeOf } from './guests.js';

/** The proofs of a guest that is as it was planned, but for what `now` says of its files. */
function prove(planned: Files, now: Record<string, string | null> = {}, before: Files = planned) {
  const after = { identity: guestOf({ files: {} }).identity, tree: treeOf(planned), registry: [] };
  const texts = { ...planned, ...now };
  const read = (path: string) => {
    const text = texts[path] ?? null;
    return text === null ? null : Buffer.from(text);
  };
  const paths = proofPaths(linux, after);
  for (const path of Object.keys(now)) expect(paths).toContain(path);
  return proveFixers(linux, { before: treeOf(before), after, read });
}
const unproven = expect.objectContaining({ code: 'fix.unproven' });

describe('the proof of fstab', () => {
  const GOOD = 'UUID=1 / ext4 defaults 0 1\n';

  it('fails where the root is still mounted by an unstable name', () => {
    expect(() => prove({ '/etc/fstab': GOOD }, { '/etc/fstab': '/dev/sda2 / ext4 defaults 0 1\n' })).toThrow(
      unproven,
    );
  });

  it('lets pass what the plan leaves: CD drives of old IDE names, lines that were never entries', () => {
    const text = `${GOOD}/dev/hdc /media/cdrom iso9660 ro,user 0 0\n/dev/sdb1 /data ext4 nofail 0 0\nnonsense here\n`;
    expect(prove({ '/etc/fstab': text })).toEqual(['/etc/fstab parses: 3 entries, no unstable device name']);
  });

  it('fails where a line that was written does not parse, and where the file is gone', () => {
    expect(() => prove({ '/etc/fstab': 'UUID=1 /\n' }, {}, { '/etc/fstab': GOOD })).toThrow(unproven);
    expect(() => prove({ '/etc/fstab': GOOD }, { '/etc/fstab': null })).toThrow(unproven);
  });

  it('says nothing of a guest without one', () => {
    expect(prove({ '/etc/hostname': 'guest\n' })).toEqual([]);
  });
});

describe('the proof of kernel command lines', () => {
  it('lets pass a resume= on a disk that was not dropped, of which the plan warned, but no such root=', () => {
    const config = (args: string) => ({ '/boot/grub/grub.cfg': `\tlinux /vmlinuz ${args}\n` });
    expect(prove(config('root=UUID=1 resume=/dev/sdb1'))).toHaveLength(1);
    expect(() => prove(config('root=/dev/sda1'))).toThrow(unproven);
  });

  it.each([
    ['/efi/loader/entries/a.conf', 'options ro root=/dev/sda2\n'],
    ['/etc/kernel/cmdline', 'root=/dev/sda2\n'],
    ['/efi/EFI/Linux/a.efi:.cmdline', 'root=/dev/sda2'],
    ['/extlinux.conf', 'APPEND root=/dev/sda2\n'],
    ['/etc/update-extlinux.conf', 'default_kernel_opts="root=/dev/sda2"\n'],
    ['/boot/grub2/grubenv', 'kernelopts=root=/dev/sda2 ro\n'],
    ['/boot/grub2/grub.cfg', '\tlinux /vmlinuz root=/dev/sda2\n'],
    ['/boot/grub/grub.conf', 'kernel /vmlinuz root=/dev/sda2\n'],
    ['/etc/default/grub', 'GRUB_CMDLINE_LINUX="root=/dev/sda2"\n'],
  ])('looks at every boot file of the guest: %s', (path, text) => {
    const good = text.replace('/dev/sda2', 'UUID=1');
    expect(prove({ [path]: good })).toEqual([`${path}: 1 kernel command line, no unstable root`]);
    expect(() => prove({ [path]: good }, { [path]: text })).toThrow(unproven);
    expect(() => prove({ [path]: good }, { [path]: null })).toThrow(unproven);
  });
});
