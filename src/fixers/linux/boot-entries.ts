import type { Fixer, Guest } from '../fixer.js';
import type { Warning } from '../operation.js';
import { unifiedImages } from './boot-files.js';
import { fixCommandLines } from './command-line.js';

const NAME = 'boot-entries';

export const bootEntries: Fixer = {
  name: NAME,
  description:
    'Boot Loader Specification entries (loader/entries/*.conf of GRUB and systemd-boot) and their source /etc/kernel/cmdline get UUIDs instead of device names. A unified kernel image carries its command line under a signature and is not edited: a warning says so where its names are stale, or where nothing else boots.',
  plan(guest) {
    const { operations, warnings } = fixCommandLines(guest, NAME, ['bls', 'kernel-cmdline']);
    // A changed source means that the images made from it carry the old names too.
    const isStale = operations.some((op) => op.op === 'write_file' && op.path === '/etc/kernel/cmdline');
    const complaint = isStale ? STALE : startsOnlyUnified(guest) ? UNSEEN : null;
    const images = complaint === null ? [] : unifiedImages(guest.tree);
    const notes = images.map((path): Warning => {
      return { fixer: NAME, code: 'boot.unified-image', message: `${path} ${complaint}` };
    });
    return { operations, warnings: [...warnings, ...notes] };
  },
};

const STALE =
  'has its command line inside and was made with device names of the old hypervisor: make it again in the guest if it is what boots';
const UNSEEN =
  'has its initramfs and its command line inside, where nothing is changed: it starts if virtio_blk is in it and the root is found by UUID or by its GPT type. The boot test tells; if it fails, make the image again in the guest with virtio_pci and virtio_blk';

/** No kernel has an initramfs of its own: what boots is in the images. */
const startsOnlyUnified = ({ identity }: Guest) =>
  identity.kernels.every(({ initramfs }) => initramfs === null);
