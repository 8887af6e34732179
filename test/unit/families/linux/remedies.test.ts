import { describe, expect, it } from 'vitest';
import { jobOptionsSchema } from '../../../../src/config/schema.js';
import { asIs } from '../../../../src/families/as-is/family.js';
import type { FailedBoot } from '../../../../src/families/base/remedy.js';
import { crypttab } from '../../../../src/families/linux/crypttab.js';
import { devices } from '../../../../src/families/linux/devices.js';
import { linux } from '../../../../src/families/linux/family.js';
import { fstab } from '../../../../src/families/linux/fstab.js';
import { kernel } from '../../../../src/families/linux/kernel.js';
import { network } from '../../../../src/families/linux/network.js';
import { REMEDIES } from '../../../../src/families/linux/remedies.js';
import { uefiFallback } from '../../../../src/families/linux/uefi-fallback.js';
import { planGuest, planNothing } from '../../../../src/families/plan.js';
import type { Boot } from '../../../../src/model/boot.js';
import { sampleBoot } from '../../report/sample.js';
import { filesystem, guestOf, kernelOf, nic, pathsOf, textAfter } from '../guests.js';

const ESP = 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b';
const BIOS_BOOT = '21686148-6449-6e6f-744e-656564454649';

interface Case {
  named?: string[];
  warnings?: Boot['warnings'];
  config?: Record<string, unknown>;
  vm?: Record<string, unknown>;
  disk_bus?: 'virtio' | 'sata' | 'ide';
  identity?: Parameters<typeof guestOf>[0]['identity'];
  firmware?: 'bios' | 'uefi';
}

/** What is tried after a boot with this signature (or code of a warning), in order. */
function triedAfter(signature: string, given: Case = {}) {
  const { named, disk_bus = 'virtio', firmware = 'bios' } = given;
  const failure = {
    signature,
    meaning: 'It failed.',
    advice: 'x',
    ...(named === undefined ? {} : { named }),
  };
  const failed: FailedBoot = {
    boot: { ...sampleBoot, firmware, verdict: 'failed', level: 'kernel', failure },
    identity: guestOf({ ...(given.identity === undefined ? {} : { identity: given.identity }) }).identity,
    devices: { disk_bus, nic_model: 'virtio' },
    options: jobOptionsSchema.parse({ config: given.config ?? {}, vm: given.vm ?? {} }),
  };
  return REMEDIES.filter(({ signatures }) => signatures.includes(signature)).flatMap(({ change }) =>
    change(failed).map(({ options }) => options),
  );
}

describe('the table of remedies', () => {
  it.each(['initramfs-shell', 'dracut-emergency', 'dracut-timeout', 'nash-no-root'])(
    'has for %s a new initramfs, then SATA',
    (signature) => {
      expect(triedAfter(signature)).toEqual([{ 'fix.initramfs': 'rebuild' }, { 'fix.devices': 'sata' }]);
      const config = { fix: { initramfs: 'rebuild' } };
      expect(triedAfter(signature, { config })).toEqual([{ 'fix.devices': 'sata' }]);
      expect(triedAfter(signature, { config, disk_bus: 'sata' })).toEqual([{ 'fix.devices': 'ide' }]);
      expect(triedAfter(signature, { config, disk_bus: 'ide' })).toEqual([]);
      const identity = { architecture: 'aarch64' };
      expect(triedAfter(signature, { config, identity, disk_bus: 'sata' })).toEqual([]);
    },
  );

  it.each(['emergency-mode', 'local-filesystems', 'device-missing', 'fsck-manual'])(
    'has for %s nofail for what the boot names, and for nothing else',
    (signature) => {
      expect(triedAfter(signature)).toEqual([]);
      expect(triedAfter(signature, { named: ['/', '/usr', '/boot', '/var'] })).toEqual([]);
      expect(triedAfter(signature, { named: ['/srv', '/boot'] })).toEqual([{ 'fix.nofail': ['/srv'] }]);
      const config = { fix: { nofail: ['/srv'] } };
      expect(triedAfter(signature, { config, named: ['/srv'] })).toEqual([]);
      expect(triedAfter(signature, { config, named: ['/srv', '/data'] })).toEqual([
        { 'fix.nofail': ['/srv', '/data'] },
      ]);
    },
  );

  it.each(['uefi-shell', 'uefi-no-loader'])('has for %s the fallback loader, then a BIOS', (signature) => {
    const partition = { number: 1, start: 0, size: 1, bootable: false, partuuid: null };
    const partitions = [{ disk: 0, scheme: 'gpt' as const, partitions: [{ ...partition, type: BIOS_BOOT }] }];
    const loader = { 'fix.uefi_loader': 'replace' };
    const bios = { 'vm.firmware': 'bios' };
    expect(triedAfter(signature, { firmware: 'uefi', identity: { partitions } })).toEqual([loader, bios]);
    // Nothing for a BIOS on the disk; the job says UEFI; a machine without a BIOS.
    expect(triedAfter(signature, { firmware: 'uefi' })).toEqual([loader]);
    const vm = { firmware: 'uefi' };
    expect(triedAfter(signature, { firmware: 'uefi', identity: { partitions }, vm })).toEqual([loader]);
    const arm = { partitions, architecture: 'aarch64' };
    expect(triedAfter(signature, { firmware: 'uefi', identity: arm })).toEqual([loader]);
  });

  it.each(['grub-rescue', 'grub-error'])('has for %s a search for what GRUB names', (signature) => {
    expect(triedAfter(signature)).toEqual([]);
    expect(triedAfter(signature, { named: ['a', 'b'] })).toEqual([{ 'fix.grub_search': ['a', 'b'] }]);
    const config = { fix: { grub_search: ['a'] } };
    expect(triedAfter(signature, { named: ['a'], config })).toEqual([]);
  });

  it('has for grub-prompt the configuration too', () => {
    expect(triedAfter('grub-prompt')).toEqual([{ 'fix.grub_search': ['grub.cfg'] }]);
    expect(triedAfter('grub-prompt', { named: ['a'] })).toEqual([
      { 'fix.grub_search': ['a'] },
      { 'fix.grub_search': ['a', 'grub.cfg'] },
    ]);
    const config = { fix: { grub_search: ['a', 'grub.cfg'] } };
    expect(triedAfter('grub-prompt', { named: ['a'], config })).toEqual([]);
  });

  it('has for a BIOS that finds nothing UEFI, where there is an ESP', () => {
    const filesystems = [filesystem('/dev/sda1', 'vfat', 'AAAA-BBBB', { parttype: ESP })];
    expect(triedAfter('no-bootable-device')).toEqual([]);
    expect(triedAfter('no-bootable-device', { identity: { filesystems } })).toEqual([
      { 'vm.firmware': 'uefi' },
    ]);
  });

  it.each(['validate.no-address', 'validate.missing-address'])('has for %s names bound to MACs', (code) => {
    expect(triedAfter(code)).toEqual([{ 'fix.interface_names': 'mac' }]);
    expect(triedAfter(code, { config: { fix: { interface_names: 'mac' } } })).toEqual([]);
  });

  it.each(['inconclusive', 'passphrase-prompt', 'out-of-memory', 'init-frozen'])(
    'has nothing for %s',
    (signature) => {
      expect(triedAfter(signature, { named: ['/srv'] })).toEqual([]);
    },
  );

  it('names only signatures and warnings that there are', () => {
    const known = new Set([
      ...[...linux.boot.signatures, ...asIs.boot.signatures].map(({ signature }) => signature),
      'validate.missing-address',
      'validate.no-address',
    ]);
    for (const { signatures } of [...REMEDIES, ...asIs.remedies])
      for (const signature of signatures) expect(known).toContain(signature);
  });
});

const disks = [
  filesystem('/dev/sda1', 'ext4', 'root-uuid', { mountpoint: '/' }),
  filesystem('/dev/sdb1', 'xfs', 'data-uuid'),
];
const LINES = [
  'UUID=root-uuid / ext4 defaults 0 1',
  'UUID=0a1b2c3d-0000-4ee1-8f42-0123456789ab /srv/data xfs defaults 0 2',
  'UUID=ffffffff-0000-4ee1-8f42-fedcba987654 /srv/data2 xfs noatime 0 2',
  '/dev/mapper/secret /secret ext4',
  'UUID=0a1b2c3d-1111-4ee1-8f42-aaaaaaaaaaaa none swap sw 0 0',
];

function fixed(nofail: string[], crypttabText = ''): { changed: string[]; codes: string[] } {
  const guest = guestOf({
    filesystems: disks,
    files: { '/etc/fstab': `${LINES.join('\n')}\n`, '/etc/crypttab': crypttabText },
    options: { nofail },
  });
  const { operations, warnings } = fstab.plan(guest);
  const after = (textAfter(operations, '/etc/fstab') ?? '').split('\n').slice(0, LINES.length);
  const changed = after.filter((line) => line !== '' && !LINES.includes(line));
  return { changed, codes: warnings.map(({ code }) => code) };
}

describe('fix.nofail', () => {
  const DATA = `${LINES[1]!.replace('defaults', 'defaults,nofail')}`;

  it.each([
    '/srv/data',
    'srv-data.mount',
    'UUID=0a1b2c3d-0000-4ee1-8f42-0123456789ab',
    '/dev/disk/by-uuid/0a1b2c3d-0000-4ee1-8f42-0123456789ab',
    'dev-disk-by\\x2duuid-0a1b2c3d\\x2d0000\\x2d4ee1\\x2d8f42\\x2d0123456789ab.device',
    // As systemd cuts it to fit the console.
    '/dev/d…-4ee1-8f42-0123456789ab',
    '…8f42-0123456789ab',
    '/dev/disk/by...0123456789ab',
  ])('takes the line that %s means, and no other', (name) => {
    expect(fixed([name])).toEqual({ changed: [DATA], codes: ['fstab.nofail'] });
  });

  it.each(['/', 'UUID=root-uuid', '/srv', '…-4ee1-8f42', '…ab', '/nowhere', '…', 'swap', 'none'])(
    'changes nothing for %s',
    (name) => {
      expect(fixed([name])).toEqual({ changed: [], codes: [] });
    },
  );

  it('takes a swap area by its device, and a line without options', () => {
    const { changed } = fixed([
      '/dev/disk/by-uuid/0a1b2c3d-1111-4ee1-8f42-aaaaaaaaaaaa',
      '/dev/mapper/secret',
    ]);
    expect(changed).toEqual([
      '/dev/mapper/secret /secret ext4 defaults,nofail',
      'UUID=0a1b2c3d-1111-4ee1-8f42-aaaaaaaaaaaa none swap sw,nofail 0 0',
    ]);
  });

  it('takes the volume of crypttab too whose container is missing, and what is mounted from it', () => {
    const text = 'secret UUID=c0c0c0c0-0000-4ee1-8f42-0123456789ab none luks\nother UUID=1 none luks\n';
    const name = '/dev/disk/by-uuid/c0c0c0c0-0000-4ee1-8f42-0123456789ab';
    const guest = guestOf({
      filesystems: disks,
      files: { '/etc/crypttab': text },
      options: { nofail: [name] },
    });
    const { operations, warnings } = crypttab.plan(guest);
    expect(textAfter(operations, '/etc/crypttab')).toBe(text.replace('none luks\no', 'none luks,nofail\no'));
    expect(warnings).toMatchObject([{ code: 'crypttab.nofail' }]);
    expect(fixed([name], text).changed).toEqual(['/dev/mapper/secret /secret ext4 defaults,nofail']);
  });
});

describe('fix.devices', () => {
  it('decides instead of the guest’s drivers', () => {
    expect(devices.plan(guestOf({ options: { devices: 'ide' } })).devices).toEqual({
      disk_bus: 'ide',
      nic_model: 'e1000',
    });
    expect(planNothing(guestOf({ options: { devices: 'sata' } })).devices).toEqual({
      disk_bus: 'sata',
      nic_model: 'e1000e',
    });
  });

  it('is refused for a machine without such disks', () => {
    const arm = guestOf({ identity: { architecture: 'aarch64' }, options: { devices: 'ide' } });
    expect(() => planGuest(arm)).toThrow(expect.objectContaining({ code: 'plan.devices-unsupported' }));
    expect(() => planNothing(arm)).toThrow(expect.objectContaining({ code: 'plan.devices-unsupported' }));
  });
});

describe('fix.uefi_loader = "replace"', () => {
  const files = {
    '/boot/efi/EFI/BOOT/BOOTX64.EFI': null,
    '/boot/efi/EFI/BOOT/grubx64.efi': null,
    '/boot/efi/EFI/debian/shimx64.efi': null,
    '/boot/efi/EFI/debian/grubx64.efi': null,
  };
  const plan = (uefi_loader: 'keep' | 'replace', own: Record<string, null> = files) =>
    uefiFallback.plan(guestOf({ files: own, identity: { firmware: 'uefi' }, options: { uefi_loader } }))
      .operations;

  it('puts the distribution’s loader in the place of an existing one, with what it starts', () => {
    expect(plan('keep')).toEqual([]);
    expect(pathsOf(plan('replace'))).toEqual([
      '/boot/efi/EFI/BOOT/BOOTX64.EFI',
      '/boot/efi/EFI/BOOT/grubx64.efi',
    ]);
  });

  it('changes nothing where there is no other', () => {
    expect(plan('replace', { '/boot/efi/EFI/BOOT/BOOTX64.EFI': null })).toEqual([]);
  });
});

describe('fix.interface_names = "mac"', () => {
  const MAC = '00:50:56:01:02:03';
  const plan = (interface_names: 'auto' | 'mac', macs: string[]) =>
    network.plan(
      guestOf({
        files: {
          '/etc/network/interfaces': 'auto ens192\niface ens192 inet dhcp\n',
          '/etc/udev/rules.d/': null,
          '/usr/lib/systemd/system/systemd-network-generator.service': '',
        },
        identity: { network_manager: ['ifupdown'] },
        hardware: { nics: macs.map((mac) => nic(mac)) },
        options: { interface_names },
      }),
    );
  const RULES = '/etc/udev/rules.d/70-hyper2kvm-net.rules';

  it('binds a name by a udev rule beside the .link file', () => {
    expect(pathsOf(plan('auto', [MAC]).operations)).toEqual([
      '/etc/systemd/network/10-hyper2kvm-ens192.link',
    ]);
    expect(textAfter(plan('mac', [MAC]).operations, RULES)).toContain(
      `DRIVERS=="?*", ATTR{address}=="${MAC}", ATTR{type}=="1", NAME="ens192"`,
    );
  });

  it('takes the first card where nothing tells which one it is, with a warning', () => {
    const two = [MAC, '00:50:56:01:02:04'];
    expect(plan('auto', two).warnings).toMatchObject([{ code: 'network.unknown-mac' }]);
    const { operations, warnings } = plan('mac', two);
    expect(textAfter(operations, RULES)).toContain(MAC);
    expect(warnings).toMatchObject([{ code: 'network.order' }]);
  });
});

describe('fix.kernel', () => {
  const NEW = '6.1.0-32-amd64';
  const OLD = '6.1.0-18-amd64';
  const kernels = [kernelOf(NEW, [], { unreadable: 'truncated' }), kernelOf(OLD, [])];
  const images = {
    [`/boot/vmlinuz-${NEW}`]: null,
    [`/boot/initrd.img-${NEW}`]: null,
    [`/boot/vmlinuz-${OLD}`]: null,
    [`/boot/initrd.img-${OLD}`]: null,
  };
  const plan = (files: Record<string, string | null>, wanted: string, own = kernels) =>
    kernel.plan(
      guestOf({ files: { ...images, ...files }, identity: { kernels: own }, options: { kernel: wanted } }),
    );

  const grub = (place: string) =>
    [NEW, OLD, NEW]
      .map(
        (version, index) =>
          `menuentry 'Debian ${index}' {\n\tsearch --fs-uuid abc\n\tlinux\t${place}vmlinuz-${version} root=UUID=x ro\n\tinitrd\t/early-ucode.img ${place}initrd.img-${version}\n}\n`,
      )
      .join('');

  it.each(['/', '/boot/', '/@/boot/', '(hd0,gpt2)/boot/'])(
    'makes the entries of GRUB that start the default kernel, in %s, start the other one',
    (place) => {
      const { operations, warnings } = plan({ '/boot/grub/grub.cfg': grub(place) }, OLD);
      const after = textAfter(operations, '/boot/grub/grub.cfg') ?? '';
      expect(after).toBe(grub(place).replaceAll(NEW, OLD));
      expect(warnings).toMatchObject([{ code: 'boot.other-kernel' }]);
    },
  );

  it('does so for extlinux and for the first entry of the Boot Loader Specification', () => {
    const extlinux = `default l0\nlabel l0\n  linux /vmlinuz-${NEW}\n  initrd /initrd.img-${NEW}\n  append ro\nlabel l1\n  kernel /vmlinuz-${OLD}\n`;
    expect(
      textAfter(
        plan({ '/boot/extlinux/extlinux.conf': extlinux }, OLD).operations,
        '/boot/extlinux/extlinux.conf',
      ),
    ).toBe(
      extlinux
        .replace(`/vmlinuz-${NEW}`, `/vmlinuz-${OLD}`)
        .replace(`/initrd.img-${NEW}`, `/initrd.img-${OLD}`),
    );
    const entry = (version: string) =>
      `title Debian\nlinux /vmlinuz-${version}\ninitrd /initrd.img-${version}\noptions ro\n`;
    const { operations } = plan(
      {
        [`/boot/loader/entries/a-${NEW}.conf`]: entry(NEW),
        [`/boot/loader/entries/a-${OLD}.conf`]: entry(OLD),
      },
      OLD,
    );
    expect(pathsOf(operations)).toEqual([`/boot/loader/entries/a-${NEW}.conf`]);
    expect(textAfter(operations, `/boot/loader/entries/a-${NEW}.conf`)).toBe(entry(OLD));
  });

  it('takes another initramfs of the same kernel by its path', () => {
    const fallback = '/boot/initramfs-fallback.img';
    const two = [kernelOf(NEW, [], { unreadable: 'truncated' }), kernelOf(NEW, [], { path: fallback })];
    const text = `menuentry 'a' {\n linux /vmlinuz-${NEW} ro\n initrd /initrd.img-${NEW}\n}\n`;
    const { operations } = plan({ '/boot/grub/grub.cfg': text, [fallback]: null }, fallback, two);
    expect(textAfter(operations, '/boot/grub/grub.cfg')).toBe(
      text.replace(`initrd.img-${NEW}`, 'initramfs-fallback.img'),
    );
  });

  it('takes an entry whose kernel is not there for the default, as GRUB does; not one with a variable', () => {
    const text = `menuentry 'a' {\n linux /vmlinuz-9 ro\n initrd /initrd.img-9\n}\nmenuentry 'b' {\n linux /vmlinuz-${OLD} ro\n initrd /initrd.img-${OLD}\n}\n`;
    const { operations, warnings } = plan({ '/boot/grub/grub.cfg': text }, OLD);
    expect(textAfter(operations, '/boot/grub/grub.cfg')).toBe(text.replaceAll(/-9/g, `-${OLD}`));
    expect(warnings).toMatchObject([{ message: expect.stringContaining('a kernel that is not there') }]);
    const variable = text.replace('/vmlinuz-9', '/vmlinuz-$x');
    expect(plan({ '/boot/grub/grub.cfg': variable }, OLD).operations).toEqual([]);
  });

  it('stays within its limits on lines of blanks', () => {
    const text = `label l0\n  linux /vmlinuz-${NEW}\n${`append${' '.repeat(8_000)}\n`.repeat(500)}append ro initrd=/initrd.img-${NEW}\n`;
    const { operations } = plan({ '/boot/extlinux/extlinux.conf': text }, OLD);
    expect(textAfter(operations, '/boot/extlinux/extlinux.conf')).toBe(text.replaceAll(NEW, OLD));
  });

  it('leads an entry whose kernel is not there to the directory of the other one', () => {
    const place = (version: string) => `/boot/abc/${version}`;
    const entry = (version: string) =>
      `linux /abc/${version}/linux\ninitrd /abc/${version}/initrd\noptions ro\n`;
    const files = {
      [`${place(OLD)}/linux`]: null,
      [`${place(OLD)}/initrd`]: null,
      '/boot/loader/entries/abc-9.conf': entry('9'),
      [`/boot/loader/entries/abc-${OLD}.conf`]: entry(OLD),
    };
    const own = [kernelOf(OLD, [], { path: `${place(OLD)}/initrd` })].map((one) => ({
      ...one,
      image: `${place(OLD)}/linux`,
    }));
    const { operations } = plan(files, OLD, own);
    expect(pathsOf(operations)).toEqual(['/boot/loader/entries/abc-9.conf']);
    expect(textAfter(operations, '/boot/loader/entries/abc-9.conf')).toBe(entry(OLD));
  });

  it('changes nothing where the default starts it already, and is refused for a kernel that is not there', () => {
    expect(plan({ '/boot/grub/grub.cfg': grub('/').replaceAll(NEW, OLD) }, OLD).operations).toEqual([]);
    expect(plan({ '/boot/grub/grub.cfg': grub('/') }, '').operations).toEqual([]);
    for (const wanted of ['1.2.3', NEW])
      expect(() => plan({ '/boot/grub/grub.cfg': grub('/') }, wanted)).toThrow(
        expect.objectContaining({ code: 'plan.kernel-unknown', advice: expect.stringContaining(OLD) }),
      );
  });

  it('is tried after a panic without a root: complete kernels only, the newest first, by path where a version is not enough', () => {
    const options = (own: typeof kernels) => triedAfter('panic-no-root', { identity: { kernels: own } });
    const sata = { 'fix.devices': 'sata' };
    expect(options([...kernels, kernelOf('6.1.0-9-amd64', [])])).toEqual([
      { 'fix.kernel': OLD },
      { 'fix.kernel': '6.1.0-9-amd64' },
      sata,
    ]);
    const two = [kernels[0]!, kernelOf(NEW, [], { path: '/boot/fallback.img' })];
    expect(options(two)).toEqual([{ 'fix.kernel': '/boot/fallback.img' }, sata]);
    // GRUB did not find the kernel.
    expect(triedAfter('grub-error', { identity: { kernels } })).toEqual([{ 'fix.kernel': OLD }]);
  });
});
