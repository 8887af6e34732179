import { describe, expect, it } from 'vitest';
import { bootEntries } from '../../../../src/families/linux/boot-entries.js';
import { appendArguments } from '../../../../src/families/linux/command-line.js';
import { crypttab } from '../../../../src/families/linux/crypttab.js';
import { extlinux } from '../../../../src/families/linux/extlinux.js';
import { grubLegacy } from '../../../../src/families/linux/grub-legacy.js';
import { grub2 } from '../../../../src/families/linux/grub2.js';
import { serialConsole } from '../../../../src/families/linux/serial-console.js';
import { planGuest } from '../../../../src/families/plan.js';
import { applyOperations } from '../../../../src/operations/apply-operations.js';
import {
  changedLines,
  type Files,
  filesystem,
  type GuestRecipe,
  guestOf,
  kernelOf,
  pathsOf,
  textAfter,
} from '../guests.js';

const filesystems = [
  filesystem('/dev/sda1', 'ext4', 'boot-uuid'),
  filesystem('/dev/sda2', 'ext4', 'root-uuid', { mountpoint: '/' }),
  filesystem('/dev/sda3', 'swap', 'swap-uuid'),
  filesystem('/dev/sda5', 'crypto_LUKS', 'luks-uuid'),
];
const guest = (files: Files, more: GuestRecipe = {}) => guestOf({ files, filesystems, ...more });

const GRUB_CFG = `set default="0"
if [ x$feature_platform_search_hint = xy ]; then
  search --no-floppy --fs-uuid --set=root --hint-bios=hd0,msdos1 boot-uuid
fi
menuentry 'Debian GNU/Linux' --class debian {
	insmod part_msdos
	set root='hd0,msdos1'
	search --no-floppy --fs-uuid --set=root boot-uuid
	linux	/vmlinuz-6.1.0-18-amd64 root=/dev/sda2 ro resume=/dev/sda3 quiet
	initrd	/initrd.img-6.1.0-18-amd64
}
menuentry 'recovery' {
	linux	/vmlinuz-6.1.0-18-amd64 root=/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:0:0-part2 ro single
	initrd	/initrd.img-6.1.0-18-amd64
}
menuentry 'EFI' {
	linuxefi /vmlinuz root=UUID=root-uuid ro
}
`;

describe('grub2', () => {
  it('changes root= and resume= on the kernel lines and nothing of GRUB’s own', () => {
    const { operations } = grub2.plan(guest({ '/boot/grub/grub.cfg': GRUB_CFG }));
    expect(changedLines(GRUB_CFG, textAfter(operations, '/boot/grub/grub.cfg') ?? '')).toEqual([
      '-\tlinux\t/vmlinuz-6.1.0-18-amd64 root=/dev/sda2 ro resume=/dev/sda3 quiet',
      '-\tlinux\t/vmlinuz-6.1.0-18-amd64 root=/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:0:0-part2 ro single',
      '+\tlinux\t/vmlinuz-6.1.0-18-amd64 root=UUID=root-uuid ro resume=UUID=swap-uuid quiet',
      '+\tlinux\t/vmlinuz-6.1.0-18-amd64 root=UUID=root-uuid ro single',
    ]);
  });

  it('finds grub.cfg on the ESP and behind links, each file once', () => {
    const files = {
      '/etc/grub2.cfg': '-> ../boot/grub2/grub.cfg',
      '/boot/grub2/grub.cfg': 'linux /vmlinuz root=/dev/sda2\n',
      '/boot/efi/EFI/centos/grub.cfg': 'linuxefi /vmlinuz root=/dev/sda2\n',
    };
    expect(pathsOf(grub2.plan(guest(files)).operations)).toEqual([
      '/boot/efi/EFI/centos/grub.cfg',
      '/boot/grub2/grub.cfg',
    ]);
  });

  it('follows links out of /boot, of a file, of a directory and of /boot itself', () => {
    const text = 'linux /vmlinuz root=/dev/sda2\n';
    const changed = (files: Files) => pathsOf(grub2.plan(guest(files)).operations);
    expect(changed({ '/boot/grub/grub.cfg': '-> /srv/grub.conf', '/srv/grub.conf': text })).toEqual([
      '/srv/grub.conf',
    ]);
    expect(changed({ '/boot/grub': '-> ../srv/grub', '/srv/grub/grub.cfg': text })).toEqual([
      '/srv/grub/grub.cfg',
    ]);
    expect(changed({ '/boot': '-> srv/boot', '/srv/boot/grub/grub.cfg': text })).toEqual([
      '/srv/boot/grub/grub.cfg',
    ]);
  });

  it('changes the source and takes GRUB_DISABLE_LINUX_UUID back', () => {
    const source = `GRUB_TIMEOUT=5
GRUB_CMDLINE_LINUX_DEFAULT="quiet resume=/dev/sda3"
#GRUB_CMDLINE_LINUX="root=/dev/sda2"
GRUB_CMDLINE_LINUX='rd.lvm.lv=vg/root root=/dev/sda2'
GRUB_DISABLE_LINUX_UUID=true
`;
    const { operations } = grub2.plan(guest({ '/etc/default/grub': source }));
    expect(changedLines(source, textAfter(operations, '/etc/default/grub') ?? '')).toEqual([
      '-GRUB_CMDLINE_LINUX_DEFAULT="quiet resume=/dev/sda3"',
      "-GRUB_CMDLINE_LINUX='rd.lvm.lv=vg/root root=/dev/sda2'",
      '-GRUB_DISABLE_LINUX_UUID=true',
      '+GRUB_CMDLINE_LINUX_DEFAULT="quiet resume=UUID=swap-uuid"',
      "+GRUB_CMDLINE_LINUX='rd.lvm.lv=vg/root root=UUID=root-uuid'",
      '+GRUB_DISABLE_LINUX_UUID=false',
    ]);
  });

  it.each([
    [
      'GRUB_CMDLINE_LINUX="root=/dev/sda2 quiet"   # set by ops',
      'GRUB_CMDLINE_LINUX="root=UUID=root-uuid quiet"   # set by ops',
    ],
    [
      'GRUB_CMDLINE_LINUX="quiet \\\n root=/dev/sda2 \\\n ro"',
      'GRUB_CMDLINE_LINUX="quiet \\\n root=UUID=root-uuid \\\n ro"',
    ],
    ['GRUB_CMDLINE_LINUX="quiet\n root=/dev/sda2"', 'GRUB_CMDLINE_LINUX="quiet\n root=UUID=root-uuid"'],
    [
      "export GRUB_CMDLINE_LINUX_DEFAULT+=' resume=/dev/sda3'#x",
      "export GRUB_CMDLINE_LINUX_DEFAULT+=' resume=UUID=swap-uuid'#x",
    ],
    ['GRUB_CMDLINE_LINUX=root=/dev/sda2;A=1', 'GRUB_CMDLINE_LINUX=root=UUID=root-uuid;A=1'],
    [
      'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX root=/dev/sda2"',
      'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX root=UUID=root-uuid"',
    ],
    ["GRUB_DISABLE_LINUX_UUID='true' # names", "GRUB_DISABLE_LINUX_UUID='false' # names"],
    [
      'OWN="root=/dev/sda2"\nGRUB_CMDLINE_LINUX="$OWN ro"',
      'OWN="root=UUID=root-uuid"\nGRUB_CMDLINE_LINUX="$OWN ro"',
    ],
    ['GRUB_DISABLE_UUID=true', 'GRUB_DISABLE_UUID=false'],
    ['GRUB_DEVICE=/dev/sda2', 'GRUB_DEVICE=/dev/disk/by-uuid/root-uuid'],
    ['GRUB_DEVICE_BOOT="/dev/sda1" # boot', 'GRUB_DEVICE_BOOT="/dev/disk/by-uuid/boot-uuid" # boot'],
  ])('reads its source as the shell does: %j', (text, expected) => {
    for (const path of ['/etc/default/grub', '/etc/default/grub.d/50-own.cfg']) {
      const before = guest({ [path]: `${text}\n` });
      const { operations, warnings } = grub2.plan(before);
      expect(textAfter(operations, path)).toBe(`${expected}\n`);
      expect(warnings).toEqual([]);
      expect(grub2.plan(applyOperations(before, operations)).operations).toEqual([]);
    }
  });

  it('leaves what is no assignment or stable, and warns of a GRUB_DEVICE that cannot be told', () => {
    const text = '#GRUB_CMDLINE_LINUX="root=/dev/sda2"\nGRUB_DEVICE=UUID=root-uuid\necho root=/dev/sda2\n';
    expect(grub2.plan(guest({ '/etc/default/grub': text }))).toEqual({ operations: [], warnings: [] });
    const lost = guest({ '/etc/default/grub': 'GRUB_DEVICE=/dev/sdq9\n' }, { filesystems: [] });
    expect(grub2.plan(lost)).toMatchObject({ operations: [], warnings: [{ code: 'boot.unresolved' }] });
  });

  it('changes what is written by hand beside grub.cfg, and what the next grub.cfg takes from /etc/grub.d', () => {
    const entry = `menuentry 'own' {\n\tset root='hd0,1'\n\tlinux /vmlinuz root=/dev/sda2 ro\n\tinitrd /initrd.img\n}\n`;
    const files = {
      '/boot/grub/custom.cfg': entry,
      '/boot/grub2/custom.cfg': entry,
      '/etc/grub.d/40_custom': `#!/bin/sh\nexec tail -n +3 $0\n${entry}`,
      '/etc/grub.d/09_own': `#!/bin/sh\ncat <<EOF\n${entry}EOF\n`,
      '/etc/grub.d/10_linux': '#!/bin/sh\n\tlinux\t$rel_dirname/$basename root=$linux_root_device ro $args\n',
    };
    const before = guest(files, { options: { serial_console: true } });
    const { operations, warnings } = grub2.plan(before);
    expect(warnings).toEqual([]);
    expect(pathsOf(operations)).toEqual([
      '/boot/grub/custom.cfg',
      '/boot/grub2/custom.cfg',
      '/etc/grub.d/09_own',
      '/etc/grub.d/40_custom',
    ]);
    expect(textAfter(operations, '/etc/grub.d/40_custom')).toBe(
      files['/etc/grub.d/40_custom'].replace('root=/dev/sda2', 'root=UUID=root-uuid'),
    );
    expect(pathsOf(serialConsole.plan(before).operations)).not.toContain('/etc/grub.d/10_linux');
  });

  it('gives an entry by hand without an initramfs what its kernel finds alone, as grub.cfg', () => {
    const entry = "menuentry 'own' {\n\tlinux /bzImage root=/dev/sda2 ro\n}\n";
    const files = {
      '/boot/grub/grub.cfg': entry,
      '/etc/grub.d/40_custom': `#!/bin/sh\nexec tail -n +3 $0\n${entry}`,
    };
    const [root] = [
      filesystem('/dev/sda2', 'ext4', 'root-uuid', { partuuid: '5e1f0c1e-2', mountpoint: '/' }),
    ];
    const { operations } = grub2.plan(guest(files, { filesystems: [root] }));
    for (const [path, text] of Object.entries(files))
      expect(textAfter(operations, path)).toBe(text.replace('/dev/sda2', 'PARTUUID=5e1f0c1e-2'));
  });

  it('warns of an entry by hand for a disk that is not there, and refuses one of grub.cfg', () => {
    const text = 'linux /vmlinuz root=/dev/sdq9\n initrd /initrd.img\n';
    for (const path of ['/boot/grub/custom.cfg', '/etc/grub.d/40_custom']) {
      const plan = grub2.plan(guest({ [path]: text }));
      expect(plan).toMatchObject({ operations: [], warnings: [{ code: 'boot.unresolved' }] });
    }
    const cfg = guest({ '/boot/grub/grub.cfg': text }, { filesystems: [] });
    expect(() => grub2.plan(cfg)).toThrowError(expect.objectContaining({ code: 'plan.root-unresolved' }));
  });

  it('keeps grubenv at 1024 bytes', () => {
    const block =
      '# GRUB Environment Block\nsaved_entry=1\nkernelopts=root=/dev/sda2 ro rhgb quiet \n'.padEnd(1024, '#');
    const after =
      textAfter(grub2.plan(guest({ '/boot/grub2/grubenv': block })).operations, '/boot/grub2/grubenv') ?? '';
    expect(after).toHaveLength(1024);
    expect(after).toContain('kernelopts=root=UUID=root-uuid ro rhgb quiet \n####');
  });

  describe('where a kernel has no initramfs to look for a UUID', () => {
    const cfg = '/boot/grub/grub.cfg';
    const alone = (version: string) => ({ ...kernelOf(version, []), initramfs: null });
    const gpt = filesystem('/dev/sda2', 'ext4', 'root-uuid', {
      partuuid: '5e1f0c1e-0000-4000-8000-000000000002',
      mountpoint: '/',
    });

    it.each([
      [grub2, cfg, 'linux /vmlinuz root=/dev/sda2 ro\n'],
      [grubLegacy, '/boot/grub/menu.lst', 'title a\n kernel /vmlinuz root=/dev/sda2 ro\n'],
      [extlinux, '/boot/extlinux.conf', 'LABEL a\n KERNEL /vmlinuz\n APPEND root=/dev/sda2 ro\n'],
      [bootEntries, '/boot/loader/entries/a.conf', 'linux /vmlinuz\noptions root=/dev/sda2 ro\n'],
    ])('uses PARTUUID, with modules or without (%#)', (fixer, path, text) => {
      for (const kernels of [[], [alone('5.10')]]) {
        const { operations } = fixer.plan(guest({ [path]: text }, { identity: { kernels } }));
        expect(textAfter(operations, path)).toBe(text.replace('/dev/sda2', 'PARTUUID=deadbeef-02'));
      }
      const onGpt = fixer.plan(guest({ [path]: text }, { filesystems: [gpt] }));
      expect(textAfter(onGpt.operations, path)).toContain(`root=PARTUUID=${gpt.partuuid} ro`);
    });

    it('goes by each entry, and by all of them for what the entries are made from', () => {
      const entry = (initrd: string) => `menuentry a {\n linux /vmlinuz root=/dev/sda2\n${initrd}}\n`;
      const source = '/etc/default/grub';
      const files = (text: string) => ({ [cfg]: text, [source]: 'GRUB_CMDLINE_LINUX="root=/dev/sda2"\n' });
      const mixed = grub2.plan(guest(files(entry('') + entry(' initrd /initrd.img\n'))));
      expect(textAfter(mixed.operations, cfg)).toBe(
        entry('').replace('/dev/sda2', 'PARTUUID=deadbeef-02') +
          entry(' initrd /initrd.img\n').replace('/dev/sda2', 'UUID=root-uuid'),
      );
      expect(textAfter(mixed.operations, source)).toContain('root=UUID=root-uuid');
      const all = grub2.plan(guest(files(entry('') + entry(''))));
      expect(textAfter(all.operations, source)).toContain('root=PARTUUID=deadbeef-02');
    });

    it.each([
      ['the root is a whole disk', filesystem('/dev/sda', 'ext4', 'root-uuid'), '5.10', '/dev/sda'],
      ['the kernel knows no PARTUUID of an MBR', filesystems[1], '3.7.10', '/dev/sda2'],
      ['the kernel knows no PARTUUID at all', gpt, '2.6.32-1', '/dev/sda2'],
    ])('refuses by name where %s', (_name, root, version, device) => {
      const text = `linux /boot/vmlinuz-${version} root=${device}\n`;
      const more = { filesystems: root === undefined ? [] : [root], identity: { kernels: [alone(version)] } };
      expect(() => grub2.plan(guest({ [cfg]: text }, more))).toThrowError(
        expect.objectContaining({
          code: 'plan.root-unresolved',
          message: expect.stringContaining('without an initramfs'),
        }),
      );
    });
  });

  it('fails for a root that cannot be told, warns for a resume device', () => {
    const none = { filesystems: [] };
    expect(() =>
      grub2.plan(guest({ '/boot/grub/grub.cfg': 'linux /vmlinuz root=/dev/sda2\n' }, none)),
    ).toThrowError(expect.objectContaining({ code: 'plan.root-unresolved' }));
    const { operations, warnings } = grub2.plan(
      guest({ '/boot/grub/grub.cfg': 'linux /v root=UUID=x resume=/dev/sdq9\n' }),
    );
    expect(operations).toEqual([]);
    expect(warnings).toMatchObject([{ code: 'boot.unresolved' }]);
  });

  it('plans nothing for volumes, UUIDs and labels', () => {
    const text =
      'linux /v root=/dev/mapper/vg-root rd.lvm.lv=vg/root resume=/dev/mapper/vg-swap\nlinux /v root=LABEL=x\nlinux /v root=/dev/vg/root\n';
    expect(grub2.plan(guest({ '/boot/grub/grub.cfg': text }))).toEqual({ operations: [], warnings: [] });
  });
});

describe('the other boot loaders', () => {
  it('changes BLS entries and /etc/kernel/cmdline', () => {
    const files = {
      '/boot/loader/entries/abc-5.14.conf':
        'title RHEL\nlinux /vmlinuz-5.14\ninitrd /initramfs-5.14.img\noptions root=/dev/sda2 ro $tuned_params\n',
      '/etc/kernel/cmdline': 'root=/dev/sda2 ro\n',
    };
    const { operations } = bootEntries.plan(guest(files));
    expect(textAfter(operations, '/boot/loader/entries/abc-5.14.conf')).toContain(
      'options root=UUID=root-uuid ro $tuned_params\n',
    );
    expect(textAfter(operations, '/etc/kernel/cmdline')).toBe('root=UUID=root-uuid ro\n');
  });

  it('changes the command line inside a unified image', () => {
    const image = '/efi/EFI/Linux/arch-linux.efi';
    const path = `${image}:.cmdline`;
    const recipe = guest({ [image]: null, [path]: 'root=/dev/sda2 rw' });
    const { operations } = bootEntries.plan(recipe);
    expect(textAfter(operations, path)).toBe('root=UUID=root-uuid rw');
    expect(bootEntries.plan(applyOperations(recipe, operations))).toEqual({ operations: [], warnings: [] });
  });

  it.each([
    ['an unstable root', 'root=/dev/sda2 rw', {}, ['boot.unified-signature']],
    ['a serial console', 'root=UUID=root-uuid', { serial_console: true }, ['boot.unified-signature']],
    ['nothing', 'root=UUID=root-uuid', {}, []],
  ] as const)(
    'tells once that a signed image, changed for %s, loses its signature',
    (_, text, options, codes) => {
      const image = '/efi/EFI/Linux/arch-linux.efi';
      const identity = { unified_images: [{ path: image, version: null, signed: true }] };
      const files = { [image]: null, [`${image}:.cmdline`]: text };
      const { warnings } = planGuest(guest(files, { identity, options }));
      const told = warnings.filter(({ code }) => code.startsWith('boot.unified'));
      expect(told.map(({ code }) => code)).toEqual(codes);
    },
  );

  it('changes GRUB legacy’s kernel lines and Debian’s kopt, not its root (hd0,0)', () => {
    const menu =
      '# kopt=root=/dev/sda2 ro\ntitle CentOS\n\troot (hd0,0)\n\tkernel /vmlinuz-2.6.32 ro root=/dev/sda2 rhgb\n\tinitrd /initramfs.img\n';
    const { operations } = grubLegacy.plan(
      guest({ '/boot/grub/grub.conf': menu, '/boot/grub/menu.lst': '-> ./grub.conf' }),
    );
    expect(pathsOf(operations)).toEqual(['/boot/grub/grub.conf']);
    expect(textAfter(operations, '/boot/grub/grub.conf')).toBe(
      '# kopt=root=UUID=root-uuid ro\ntitle CentOS\n\troot (hd0,0)\n\tkernel /vmlinuz-2.6.32 ro root=UUID=root-uuid rhgb\n\tinitrd /initramfs.img\n',
    );
  });

  it('changes what GRUB legacy for UEFI reads, by its own or the fallback’s name', () => {
    const text =
      'title RHEL 6\n\troot (hd0,0)\n\tkernel /vmlinuz ro root=/dev/sda2\n\tinitrd /initramfs.img\n';
    const paths = ['EFI/BOOT/BOOTX64.conf', 'EFI/BOOT/bootx64.conf', 'EFI/redhat/grub.conf'];
    for (const path of paths.map((name) => `/boot/efi/${name}`))
      expect(textAfter(grubLegacy.plan(guest({ [path]: text })).operations, path)).toBe(
        text.replace('/dev/sda2', 'UUID=root-uuid'),
      );
  });

  it('changes elilo, and SUSE’s source of older boot loaders', () => {
    const path = '/boot/efi/efi/SuSE/elilo.conf';
    const text =
      'image = vmlinuz\n  initrd = initrd\n  root=/dev/sda2\n  append = "resume=/dev/sda3 quiet" # x\n';
    expect(textAfter(extlinux.plan(guest({ [path]: text })).operations, path)).toBe(
      text.replace('/dev/sda2', 'UUID=root-uuid').replace('/dev/sda3', 'UUID=swap-uuid'),
    );
    const source = 'DEFAULT_APPEND="resume=/dev/sda3 splash=silent"\n';
    const { operations } = grub2.plan(guest({ '/etc/sysconfig/bootloader': source }));
    expect(textAfter(operations, '/etc/sysconfig/bootloader')).toBe(
      'DEFAULT_APPEND="resume=UUID=swap-uuid splash=silent"\n',
    );
  });

  it('changes extlinux and the file that Alpine makes it from', () => {
    const files = {
      '/boot/extlinux.conf':
        'LABEL lts\n  LINUX vmlinuz-lts\n  INITRD initramfs-lts\n  APPEND root=/dev/sda2 modules=ext4 quiet\n',
      '/etc/update-extlinux.conf':
        'overwrite=1\ndefault_kernel_opts="quiet resume=/dev/sda3"\nroot=/dev/sda2\n',
    };
    const { operations } = extlinux.plan(guest(files));
    expect(textAfter(operations, '/boot/extlinux.conf')).toContain(
      '  APPEND root=UUID=root-uuid modules=ext4 quiet\n',
    );
    expect(textAfter(operations, '/etc/update-extlinux.conf')).toBe(
      'overwrite=1\ndefault_kernel_opts="quiet resume=UUID=swap-uuid"\nroot=UUID=root-uuid\n',
    );
  });

  it('changes cryptdevice= up to the name behind it', () => {
    const options = 'options cryptdevice=/dev/sda5:root:allow-discards root=/dev/mapper/root\n';
    const byPath =
      'options cryptdevice=/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:0:0-part5:root root=/dev/mapper/root\n';
    for (const text of [options, byPath]) {
      const { operations } = bootEntries.plan(guest({ '/boot/loader/entries/arch.conf': text }));
      expect(textAfter(operations, '/boot/loader/entries/arch.conf')).toMatch(
        /^options cryptdevice=UUID=luks-uuid:root(:allow-discards)? root=\/dev\/mapper\/root\n$/,
      );
    }
  });
});

describe('crypttab', () => {
  it('gives a LUKS container its UUID and a swap area with a random key its PARTUUID; key files stay', () => {
    const text =
      '# name device key\nsda5_crypt /dev/sda5 /etc/keys/root luks,initramfs\ncryptswap /dev/sda3 /dev/urandom swap,cipher=aes-xts-plain64\nother UUID=luks-uuid none luks\n';
    const { operations } = crypttab.plan(guest({ '/etc/crypttab': text }));
    expect(textAfter(operations, '/etc/crypttab')).toBe(
      '# name device key\nsda5_crypt UUID=luks-uuid /etc/keys/root luks,initramfs\ncryptswap PARTUUID=deadbeef-03 /dev/urandom swap,cipher=aes-xts-plain64\nother UUID=luks-uuid none luks\n',
    );
  });
});

describe('crypttab for an initramfs that is rebuilt in the appliance', () => {
  const inside = (type: string) => filesystem('/dev/mapper/luks-luks-uuid', type, 'inner-uuid');
  const text = 'sda5_crypt UUID=luks-uuid none luks,discard\nother UUID=other-uuid none luks\n';
  const plan = (type: string, root: string, initramfs: 'append' | 'rebuild') =>
    crypttab.plan(
      guest(
        { '/etc/crypttab': text },
        {
          filesystems: [...filesystems, inside(type)],
          identity: { root, initramfs_tool: 'initramfs-tools' },
          options: { initramfs },
        },
      ),
    ).operations;

  it.each([
    ['ext4', '/dev/mapper/luks-luks-uuid'],
    ['LVM2_member', '/dev/vg/root'],
  ])('marks the container of the root: %s inside', (type, root) => {
    expect(textAfter(plan(type, root, 'rebuild'), '/etc/crypttab')).toBe(
      text.replace('luks,discard', 'luks,discard,initramfs'),
    );
  });

  it('leaves a container with data, and all of them where nothing is rebuilt', () => {
    expect(plan('ext4', '/dev/sda2', 'rebuild')).toEqual([]);
    expect(plan('LVM2_member', '/dev/vg/root', 'append')).toEqual([]);
  });
});

describe('serial console', () => {
  it('is given only when asked for, and once', () => {
    const files = {
      '/boot/grub/grub.cfg': 'linux /v root=UUID=x quiet\n\tlinux16 /memtest86+.bin\n',
      '/etc/default/grub': 'GRUB_CMDLINE_LINUX=""\n',
    };
    expect(serialConsole.plan(guest(files)).operations).toEqual([]);
    const { operations } = serialConsole.plan(guest(files, { options: { serial_console: true } }));
    expect(textAfter(operations, '/boot/grub/grub.cfg')).toBe(
      'linux /v root=UUID=x quiet console=tty0 console=ttyS0,115200n8\n\tlinux16 /memtest86+.bin\n',
    );
    expect(textAfter(operations, '/etc/default/grub')).toBe(
      'GRUB_CMDLINE_LINUX="console=tty0 console=ttyS0,115200n8"\n',
    );
  });

  it('is the port that AArch64 has, and none is added beside it', () => {
    const files = { '/boot/grub/grub.cfg': 'linux /v root=UUID=x\nlinux /v root=UUID=x console=ttyAMA0\n' };
    const arm = guest(files, { options: { serial_console: true }, identity: { architecture: 'aarch64' } });
    expect(textAfter(serialConsole.plan(arm).operations, '/boot/grub/grub.cfg')).toBe(
      'linux /v root=UUID=x console=tty0 console=ttyAMA0,115200n8\nlinux /v root=UUID=x console=ttyAMA0\n',
    );
  });

  it('stands before the arguments for init', () => {
    expect(appendArguments('root=x quiet --- single', 'console=tty0')).toBe(
      'root=x quiet console=tty0 --- single',
    );
    expect(appendArguments('', 'console=tty0')).toBe('console=tty0');
  });
});
