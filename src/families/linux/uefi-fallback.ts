import { Hyper2kvmError } from '../../errors/error.js';
import { efiDirectories } from '../../guest/esp.js';
import type { GuestTree } from '../../guest/tree.js';
import { GUEST_ARCHITECTURES } from '../../machine/architecture.js';
import type { CopyFile } from '../../operations/copy-file.js';
import type { Operation } from '../../operations/registry.js';
import type { Fixer, Guest } from '../base/fixer.js';

const NAME = 'uefi-fallback';

/**
 * A program on the ESP: `root` is the mount point's `…/EFI` as it is written there, `vendor` the directory in
 * it.
 */
interface LoaderFile {
  root: string;
  vendor: string;
  name: string;
}

export const uefiFallback: Fixer = {
  name: NAME,
  whileRunning: true,
  description:
    'The boot entries of a UEFI guest stay behind in the old hypervisor’s NVRAM. Where the ESP has no \\EFI\\BOOT\\BOOTX64.EFI, the distribution’s shim (or GRUB, or systemd-boot, or without any loader the newest kernel’s unified image) is copied there with the files that it expects in its own directory. With fix.uefi_loader = "replace" an existing one is replaced.',
  plan(guest) {
    if (guest.identity.firmware !== 'uefi') return { operations: [], warnings: [] };
    return { operations: planFallback(guest), warnings: [] };
  },
};

function planFallback({ identity, tree, options }: Guest): Operation[] {
  // UEFI's default file name and those of the distributions have the same suffix.
  const suffix = GUEST_ARCHITECTURES[identity.architecture]?.efi ?? null;
  if (suffix === null) return [];
  const fallback = `BOOT${suffix.toUpperCase()}.EFI`;
  const files = loaderFiles(tree);
  const isFallback = ({ vendor, name }: LoaderFile) => isBootDirectory(vendor) && same(name, fallback);
  const isThere = files.some(isFallback);
  if (isThere && options.uefi_loader === 'keep') return [];
  const loader = chooseLoader(files, suffix, identity.os_distro) ?? newestImage(files, identity);
  // The one that is there may be all that the guest has.
  if (loader === null && isThere) return [];
  if (loader === null)
    throw new Hyper2kvmError(
      'plan.uefi-no-loader',
      'the EFI system partition holds no boot loader that is known',
    );
  const boot =
    files.find(({ root, vendor }) => root === loader.root && isBootDirectory(vendor))?.vendor ?? 'BOOT';
  const target = `${loader.root}/${boot}`;
  const source = `${loader.root}/${loader.vendor}`;
  const isKept = ({ root, vendor }: LoaderFile) =>
    `${root}/${vendor}` === target && (options.uefi_loader === 'keep' || target === source);
  const there = new Set(files.filter(isKept).map(({ name }) => name.toLowerCase()));
  const beside = files.filter(
    ({ root, vendor, name }) =>
      root === loader.root &&
      vendor === loader.vendor &&
      neededBeside(loader.name, suffix).some((needed) => same(name, needed)) &&
      !there.has(name.toLowerCase()),
  );
  const reason = 'the firmware of a new VM knows no boot entries: it starts this file';
  // GRUB legacy (RHEL 6) reads the file of its own program's name.
  const legacy = /^grub\.efi$/i.test(loader.name)
    ? beside.filter(({ name }) => same(name, 'grub.conf') && !there.has(`boot${suffix}.conf`))
    : [];
  return [
    copy(`${source}/${loader.name}`, `${target}/${fallback}`, reason),
    ...legacy.map(({ name }) =>
      copy(
        `${source}/${name}`,
        `${target}/BOOT${suffix.toUpperCase()}.conf`,
        `${fallback} reads it by its own name`,
      ),
    ),
    ...beside.map(({ name }) =>
      copy(`${source}/${name}`, `${target}/${name}`, `${loader.name} looks for it beside itself`),
    ),
  ];
}

const same = (a: string, b: string) => a.toLowerCase() === b.toLowerCase();
const isBootDirectory = (vendor: string) => same(vendor, 'BOOT');

function copy(from: string, path: string, reason: string): CopyFile {
  return { op: 'copy_file', fixer: NAME, reason, from, path };
}

function loaderFiles(tree: GuestTree): LoaderFile[] {
  return efiDirectories(tree).flatMap((root) =>
    tree
      .list(root)
      .flatMap((vendor) => tree.list(`${root}/${vendor}`).map((name) => ({ root, vendor, name }))),
  );
}

/**
 * Returns the loaders in order of preference: Secure Boot's shim first, because it starts everything that it
 * verifies.
 */
function loaderNames(suffix: string): string[] {
  return [
    `shim${suffix}.efi`,
    'shim.efi',
    `systemd-boot${suffix}.efi`,
    `grub${suffix}.efi`,
    'grub.efi',
    'elilo.efi',
    `refind_${suffix}.efi`,
  ];
}

function chooseLoader(files: readonly LoaderFile[], suffix: string, distro: string): LoaderFile | null {
  const order = loaderNames(suffix);
  const rank = ({ vendor, name }: LoaderFile) =>
    order.findIndex((wanted) => same(wanted, name)) * 2 + (same(vendor, distro) ? 0 : 1);
  const candidates = files
    .filter(({ vendor, name }) => !same(vendor, 'Microsoft') && order.some((wanted) => same(wanted, name)))
    .sort((a, b) => rank(a) - rank(b) || (a.vendor < b.vendor ? -1 : 1));
  return candidates[0] ?? null;
}

/**
 * Returns the image of the newest kernel: firmware can start a unified kernel image itself, without a loader.
 */
function newestImage(files: readonly LoaderFile[], identity: Guest['identity']): LoaderFile | null {
  const [newest] = identity.unified_images.toSorted((a, b) =>
    (b.version ?? '').localeCompare(a.version ?? '', 'en', { numeric: true }),
  );
  return files.find(({ root, vendor, name }) => `${root}/${vendor}/${name}` === newest?.path) ?? null;
}

/**
 * Returns the files that a loader expects beside itself: shim starts GRUB and MokManager from its own
 * directory; GRUB and elilo read their configuration there.
 */
function neededBeside(loader: string, suffix: string): string[] {
  const name = loader.toLowerCase();
  if (name.startsWith('shim'))
    return [`grub${suffix}.efi`, 'grub.efi', `mm${suffix}.efi`, 'MokManager.efi', 'grub.cfg', 'grub.conf'];
  if (name.startsWith('grub')) return ['grub.cfg', 'grub.conf'];
  if (name.startsWith('elilo')) return ['elilo.conf'];
  return name.startsWith('refind') ? ['refind.conf'] : [];
}
