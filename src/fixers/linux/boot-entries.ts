import type { Fixer, Guest } from '../fixer.js';
import type { Warning } from '../operation.js';
import { fixCommandLines } from './command-line.js';

const NAME = 'boot-entries';

export const bootEntries: Fixer = {
  name: NAME,
  description:
    'Boot Loader Specification entries (loader/entries/*.conf of GRUB and systemd-boot) and their source /etc/kernel/cmdline get UUIDs instead of device names. A unified kernel image carries its command line under a signature and is not edited: a warning says so.',
  plan(guest) {
    const { operations, warnings } = fixCommandLines(guest, NAME, ['bls', 'kernel-cmdline']);
    // A changed source means that the images made from it carry the old names too.
    const isStale = operations.some((op) => op.op === 'write_file' && op.path === '/etc/kernel/cmdline');
    return { operations, warnings: [...warnings, ...(isStale ? unifiedImages(guest) : [])] };
  },
};

function unifiedImages({ tree }: Guest): Warning[] {
  return tree
    .entries()
    .filter(({ path }) => /^\/(boot|efi|boot\/efi)\/EFI\/Linux\/[^/]+\.efi$/i.test(path))
    .map(({ path }) => ({
      fixer: NAME,
      code: 'boot.unified-image',
      message: `${path} has its command line inside and was made with device names of the old hypervisor: make it again in the guest if it is what boots`,
    }));
}
