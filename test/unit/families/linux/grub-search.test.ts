import { describe, expect, it } from 'vitest';
import { SIGNATURES } from '../../../../src/families/linux/boot-signatures.js';
import { grubSearch } from '../../../../src/families/linux/grub-search.js';
import { SeenFailures } from '../../../../src/stages/validate/seen-failures.js';
import { type Files, filesystem, type GuestRecipe, guestOf, pathsOf, textAfter } from '../guests.js';

const ROOT = '11111111-2222-4333-8444-555555555555';
const BOOT = '66666666-2222-4333-8444-555555555555';
const GONE = '3c1b7c0e-53a0-4b5a-9b87-0d2f0d8a9c01';
const esp = filesystem('/dev/sda1', 'vfat', 'AAAA-BBBB', { mountpoint: '/boot/efi' });
const root = filesystem('/dev/sda3', 'ext4', ROOT, { mountpoint: '/', label: 'root' });
const separate = [esp, filesystem('/dev/sda2', 'ext4', BOOT, { mountpoint: '/boot' }), root];
const CFG = '/boot/grub/grub.cfg';
const STUB = '/boot/efi/EFI/debian/grub.cfg';

function fix(files: Files, wanted: string[], filesystems = separate, identity: GuestRecipe['identity'] = {}) {
  const guest = guestOf({ files, filesystems, identity, options: { grub_search: wanted } });
  const { operations, warnings } = grubSearch.plan(guest);
  return {
    paths: pathsOf(operations),
    codes: warnings.map(({ code }) => code),
    textOf: (path: string) => textAfter(operations, path),
  };
}

const entry = (search: string, image: string) =>
  `menuentry 'Debian' {\n\tset root='hd0,msdos1'\n\tif [ x$feature_platform_search_hint = xy ]; then\n\t  search --no-floppy --fs-uuid --set=root --hint-bios=hd0,msdos1 ${search}\n\telse\n\t  search --no-floppy --fs-uuid --set=root ${search}\n\tfi\n\techo 'x'\n\tlinux\t${image} root=UUID=${GONE} ro\n}\n`;

describe('fix.grub_search with a UUID', () => {
  it('leads an entry to the filesystem with its kernel, in both branches, and changes no command line', () => {
    const text = entry(GONE, '/vmlinuz-1');
    const { textOf, codes } = fix({ [CFG]: text, '/boot/vmlinuz-1': null }, [GONE]);
    expect(textOf(CFG)).toBe(entry(BOOT, '/vmlinuz-1'));
    expect(codes).toEqual(['boot.grub-search']);
  });

  it.each([
    ['/boot/vmlinuz-1', ROOT, [root]],
    ['/@/boot/vmlinuz-1', ROOT, [root]],
    ['/vmlinuz-1', BOOT, separate],
    ['/nowhere/vmlinuz-1', BOOT, separate],
  ])('finds %s on %s', (image, uuid, filesystems) => {
    const { textOf } = fix({ [CFG]: entry(GONE, image), '/boot/vmlinuz-1': null }, [GONE], filesystems);
    expect(textOf(CFG)).toBe(entry(uuid, image));
  });

  it.each([
    [
      'Debian',
      `search.fs_uuid ${GONE} root hd0,gpt2\nset prefix=($root)'/grub'\nconfigfile $prefix/grub.cfg\n`,
      BOOT,
    ],
    [
      'RHEL 9',
      `search --no-floppy --root-dev-only --fs-uuid --set=dev ${GONE}\nset prefix=($dev)/grub\nconfigfile $prefix/grub.cfg\n`,
      BOOT,
    ],
    [
      'SUSE',
      `set btrfs_relative_path="yes"\nsearch --fs-uuid --set=root ${GONE}\nset prefix=(\${root})/usr/share\nsource "\${prefix}/grub.cfg"\n`,
      ROOT,
    ],
  ])('mends the stub of %s on the ESP', (_, text, uuid) => {
    const { textOf } = fix({ [STUB]: text, '/boot/grub/x': null, '/usr/share/x': null }, [GONE]);
    expect(textOf(STUB)).toBe(text.replace(GONE, uuid));
  });

  it('looks by UUID for what was looked for by a label', () => {
    const text = `search --no-floppy --label --set=root "lost"\nlinux /boot/vmlinuz-1\nsearch.fs_label lost root\n`;
    const { textOf } = fix({ [CFG]: text, '/boot/vmlinuz-1': null }, ['lost'], [root]);
    expect(textOf(CFG)).toBe(
      `search --no-floppy --fs-uuid --set=root ${ROOT}\nlinux /boot/vmlinuz-1\nsearch.fs_uuid ${ROOT} root\n`,
    );
  });

  it('looks by UUID for what was looked for by a file', () => {
    const text = `search --no-floppy --file --set=root /lost\nlinux /boot/vmlinuz-1\nsearch.file /lost root\n`;
    const { textOf } = fix({ [CFG]: text, '/boot/vmlinuz-1': null }, ['/lost'], [root]);
    expect(textOf(CFG)).toBe(
      `search --no-floppy --fs-uuid --set=root ${ROOT}\nlinux /boot/vmlinuz-1\nsearch.fs_uuid ${ROOT} root\n`,
    );
  });

  it('changes nothing for what is there, for what is not named, and for what two filesystems are', () => {
    const files = { [CFG]: entry(ROOT, '/vmlinuz-1') + entry(GONE, '/vmlinuz-1'), '/boot/vmlinuz-1': null };
    expect(fix(files, []).paths).toEqual([]);
    expect(fix(files, [ROOT, 'AAAA-BBBB', 'root']).paths).toEqual([]);
    const copies = [root, filesystem('/dev/sdb1', 'ext4', ROOT)];
    expect(fix(files, [GONE], copies).paths).toEqual([]);
  });

  it('stays within its limits on hostile files', () => {
    const text = `${`search --fs-uuid ${GONE}\n`.repeat(5_000)}search ${GONE} ${'x '.repeat(50_000)}\n`;
    expect(fix({ [CFG]: text }, [GONE]).paths).toEqual([CFG]);
  });

  it.each([
    ['empty lines', '\n'.repeat(100_000)],
    ['searches', `search ${GONE}\n`.repeat(10_000)],
    ['deep paths', `search ${GONE}\nlinux /${'a/'.repeat(4_000)}b\n`.repeat(100)],
    ['kernels', Array.from({ length: 300 }, (_, index) => `search ${GONE}\nlinux /a/b/${index}\n`).join('')],
  ])('stays within its limits with many %s and many filesystems', (_, text) => {
    const others = Array.from({ length: 300 }, (__, index) =>
      filesystem(`/dev/sdb${index}`, 'ext4', `uuid-${index}`, { mountpoint: `/mnt/${index}` }),
    );
    const files = { [CFG]: `search ${GONE}\n${text}` };
    expect(fix(files, [GONE, 'grub.cfg'], [...separate, ...others]).paths).toEqual([CFG]);
  });
});

describe('fix.grub_search with grub.cfg', () => {
  const main = { [CFG]: `${entry(BOOT, '/vmlinuz-1')}` };
  const programs = { '/boot/efi/EFI/debian/grubx64.efi': null, '/boot/efi/EFI/BOOT/grubx64.efi': null };

  it('writes the stub of a GRUB on the ESP that has none', () => {
    const { paths, textOf } = fix({ ...main, ...programs, '/boot/efi/EFI/BOOT/grub.cfg': 'x' }, ['grub.cfg']);
    expect(paths).toEqual([STUB]);
    expect(textOf(STUB)).toBe(
      `search.fs_uuid ${BOOT} root\nset prefix=($root)'/grub'\nconfigfile $prefix/grub.cfg\n`,
    );
  });

  it('leads a stub elsewhere that looks for any filesystem that is not there, and leaves the entries', () => {
    const stub = `search.fs_uuid ${GONE} root hd0,gpt2\nset prefix=($root)'/grub'\nconfigfile $prefix/grub.cfg\n`;
    const files = { [CFG]: entry(GONE, '/vmlinuz-1'), [STUB]: stub, '/boot/vmlinuz-1': null };
    const { paths, textOf } = fix(files, ['grub.cfg']);
    expect(paths).toEqual([STUB]);
    expect(textOf(STUB)).toBe(stub.replace(GONE, BOOT));
  });

  it('leads a GRUB whose own directory has no grub.cfg to the other one', () => {
    const files = { '/boot/grub/i386-pc/normal.mod': null, '/boot/grub2/grub.cfg': 'blscfg\n' };
    expect(fix(files, ['grub.cfg'], [root]).textOf(CFG)).toBe(
      `search.fs_uuid ${ROOT} root\nset prefix=($root)'/boot/grub2'\nconfigfile $prefix/grub.cfg\n`,
    );
  });

  it('names the btrfs subvolume of the grub.cfg with the entries', () => {
    const mounts = [{ device: '/dev/sda3', mountpoint: '/', options: 'subvol=@' }];
    const { textOf } = fix({ ...main, ...programs }, ['grub.cfg'], [esp, root], { mounts });
    expect(textOf(STUB)).toBe(
      `search.fs_uuid ${ROOT} root\nset prefix=($root)'/@/boot/grub'\nconfigfile $prefix/grub.cfg\n`,
    );
  });

  it('writes over nothing whose name differs in case, and over no link that leads nowhere', () => {
    const there = { '/boot/efi/EFI/debian/GRUB.CFG': 'x', '/boot/efi/EFI/BOOT/grub.cfg': '-> /gone' };
    expect(fix({ ...main, ...programs, ...there }, ['grub.cfg']).paths).toEqual([]);
  });

  it('writes nothing where no grub.cfg has entries', () => {
    expect(fix({ ...programs, '/boot/grub/grub.cfg': 'set timeout=1\n' }, ['grub.cfg']).paths).toEqual([]);
  });
});

describe('what GRUB says that it did not find', () => {
  it.each([
    `error: no such device: ${GONE}.`,
    `error: ../../grub-core/commands/search.c:315:no such device: ${GONE}.`,
    `error: no such device: ${GONE}.error: file \`/grub.cfg' not found.`,
  ])('%s', (line) => {
    const seen = new SeenFailures(SIGNATURES);
    seen.line("error: file `/boot/grub/grub.cfg' not found.", 'firmware', 1);
    seen.line(line, 'firmware', 2);
    expect(seen.due(60)?.signature).toBe('grub-error');
    seen.line('grub> ', 'firmware', 3);
    const due = seen.due(60);
    expect(due?.signature).toBe('grub-prompt');
    expect(due && seen.describe(due).named).toEqual([GONE]);
  });

  it.each([
    "error: ../../grub-core/fs/fshelp.c:257:file `/vmlinuz-6.12.1' not found.",
    'error: ../../grub-core/loader/i386/linux.c:1205:you need to load the kernel first.',
    'error: ../../grub-core/kern/fs.c:123: unknown filesystem.',
  ])('GRUB 2.12 says it with its place: %s', (line) => {
    const seen = new SeenFailures(SIGNATURES);
    seen.line(line, 'firmware', 1);
    expect(seen.due(60)?.signature).toBe('grub-error');
  });
});
