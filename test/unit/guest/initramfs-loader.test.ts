import { expect, it } from 'vitest';
import { S_IFREG, writeNewc } from '../../../src/guest/cpio.js';
import { describeInitramfs, listInitramfs } from '../../../src/guest/initramfs-listing.js';

const { signal } = new AbortController();
const KERNEL = '6.1.0-18-amd64';
const KO = `lib/modules/${KERNEL}/kernel/drivers/scsi/sd_mod.ko`;

async function loaded(files: Record<string, string>) {
  const entries = Object.entries(files).map(([path, text]) => ({
    path,
    mode: S_IFREG | 0o755,
    data: Buffer.from(text),
  }));
  const listing = await listInitramfs(writeNewc(entries), signal);
  const { loads, modules, texts } = describeInitramfs({ path: '/boot/i', listing, kernelVersion: KERNEL });
  expect(texts).toEqual({});
  return { loads, modules };
}

const NASH = `#!/bin/nash

mount -t proc /proc /proc
setquiet
echo "Loading scsi_mod.ko module"
insmod /lib/scsi_mod.ko
echo "Loading sd-mod.ko module"
insmod /lib/sd-mod.ko
mkblkdevs
resume LABEL=SWAP-sda2
mkrootdev -t ext3 -o defaults,ro sda1
switchroot
`;

it.each<[string, Record<string, string>, { loads: string; modules: string[] }]>([
  // The udev of dracut, initramfs-tools, SUSE's mkinitrd and mkinitcpio, in its places.
  [
    'dracut',
    { 'usr/lib/systemd/systemd-udevd': '', init: '', [KO]: '' },
    { loads: 'any', modules: ['sd_mod'] },
  ],
  ['old dracut', { 'sbin/udevd': '', init: '#!/bin/sh\n', [KO]: '' }, { loads: 'any', modules: ['sd_mod'] }],
  ['initramfs-tools', { 'lib/systemd/systemd-udevd': '', [KO]: '' }, { loads: 'any', modules: ['sd_mod'] }],
  ['Alpine', { 'sbin/nlplug-findfs': '', init: '#!/bin/sh\n' }, { loads: 'any', modules: [] }],
  [
    'an init of its own that goes by modalias',
    { init: '#!/bin/sh\nfind /sys -name modalias -print0 | xargs -0 sort -u | xargs modprobe -a\n' },
    { loads: 'any', modules: [] },
  ],
  // What is there and not on the list is not loaded.
  [
    'RHEL 5',
    { 'bin/nash': '', init: NASH, 'lib/scsi_mod.ko': '', 'lib/virtio_blk.ko': '', [KO]: '' },
    { loads: 'listed', modules: ['scsi_mod', 'sd_mod'] },
  ],
  [
    'mkinitcpio without udev',
    { init: '#!/bin/sh\n', init_functions: '', config: 'MODULES="ahci sd-mod"\nHOOKS=\'\'\n', [KO]: '' },
    { loads: 'listed', modules: ['ahci', 'sd_mod'] },
  ],
  [
    'mkinitcpio with udev',
    {
      init: '',
      init_functions: '',
      config: 'MODULES="ahci"\n',
      'usr/lib/systemd/systemd-udevd': '',
      [KO]: '',
    },
    { loads: 'any', modules: ['sd_mod'] },
  ],
  [
    'booster',
    { init: '\x7fELF', 'etc/booster.init.yaml': '', 'usr/lib/modules/ahci.ko': '' },
    { loads: 'listed', modules: ['ahci'] },
  ],
  [
    'tiny-initramfs',
    { init: '\x7fELF', modules: `# generated\n/${KO} max=1\n`, [KO]: '', 'lib/modules/other.ko': '' },
    { loads: 'listed', modules: ['sd_mod'] },
  ],
  [
    'genkernel',
    { init: '#!/bin/sh\n', 'etc/initrd.defaults': '', [KO]: '' },
    { loads: 'listed', modules: ['sd_mod'] },
  ],
  [
    'hand-made',
    { init: '#!/bin/busybox sh\nmodprobe ahci\n', [KO]: '' },
    { loads: 'unknown', modules: ['sd_mod'] },
  ],
])('%s', async (_, files, expected) => {
  expect(await loaded(files)).toEqual(expected);
});

it('is not told where there is no init', async () => {
  expect(await loaded({ [KO]: '' })).toEqual({ modules: ['sd_mod'] });
});
