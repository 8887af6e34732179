import { posix } from 'node:path';
import { Hyper2kvmError } from '../../errors/error.js';
import { parseSectionPath } from '../../guest/unified-image.js';
import type { Kernel } from '../../model/identity.js';
import type { Warning } from '../../model/plan.js';
import type { AppendInitramfs } from '../../operations/append-initramfs.js';
import type { RebuildInitramfs } from '../../operations/rebuild-initramfs.js';
import type { Operation } from '../../operations/registry.js';
import type { Fixer, Guest } from '../base/fixer.js';
import { canLoad, chooseDevices, DEVICE_SETS, type DeviceSet, driversOf, isLilo } from './devices.js';
import { type Replacement, staleCopies } from './embedded-files.js';
import { keepDrivers, rebuildCommand } from './initramfs-tools.js';
import { type ModuleIndex, moduleIndex } from './modules.js';
import { hasUnreadImage } from './unified-images.js';

const NAME = 'initramfs';

export const initramfs: Fixer = {
  name: NAME,
  whileRunning: true,
  description:
    'Every installed kernel’s initramfs must hold the drivers of the new VM’s disks. Where they are missing, the guest’s own module files are appended as one small archive (or, with fix.initramfs = "rebuild" or a container that cannot be read, the guest’s own tool rebuilds the initramfs), and that tool is configured to keep them. Copies of crypttab, of the resume device, of dracut’s command line and of LVM’s filter and list of devices inside an initramfs that name the old hypervisor’s disks are replaced in the same way. So are copies of modprobe’s rules that exclude a driver. An initramfs that loads only the modules on its own list (nash, booster, genkernel, tiny-initramfs) is built again by the guest’s tool.',
  plan(guest) {
    // What LILO loads does not change with the file; the devices are chosen, and warned of, accordingly.
    if (isLilo(guest.identity)) return { operations: [], warnings: [] };
    const set = chooseDevices(guest);
    const warnings: Warning[] = [];
    const fixes: Operation[] = [];
    const wanted = new Set<string>();
    for (const kernel of guest.identity.kernels) {
      const index = moduleIndex(guest.tree, kernel);
      const missing = neededModules(kernel, index, set);
      const replace = staleCopies(kernel, guest);
      if (missing.length === 0 && replace.length === 0) continue;
      const modules = missing.length === 0 ? index.closure(driversOf(set)) : missing;
      const operation = planKernel({ guest, kernel, index, modules, replace, set }, warnings);
      if (operation === null) continue;
      fixes.push(operation);
      if (missing.length === 0) continue;
      for (const name of driversOf(set))
        if (index.path(name) !== null && !index.isBuiltin(name)) wanted.add(name);
    }
    const kept =
      wanted.size === 0
        ? []
        : keepDrivers(
            guest.tree,
            driversOf(set).filter((name) => wanted.has(name)),
          );
    // The configuration comes first, because a tool that rebuilds the initramfs reads it.
    return { operations: [...kept, ...fixes], warnings };
  },
};

/**
 * Drivers of the old hypervisor's cards: an initramfs that uses the network (network root, dropbear) has one
 * of them.
 */
const OLD_NICS = ['vmxnet3', 'vmxnet', 'e1000', 'e1000e', 'pcnet32', 'hv_netvsc', 'xen_netfront'];

/**
 * Returns the modules that must be in the initramfs afterwards; empty if nothing is missing. Disk drivers
 * decide: an initramfs that has them needs no network driver if it has none at all.
 */
function neededModules({ initramfs: image }: Kernel, index: ModuleIndex, set: DeviceSet): string[] {
  const there = new Set(image?.modules ?? []);
  const isMissing = (name: string) => !there.has(name);
  // Building one with a list of its own again is not worth it for a driver that no disk needs.
  const optional = image?.loads === 'listed' ? [] : set.optionalStorage;
  const storage = index.closure([...set.storage, ...optional]);
  const network = OLD_NICS.some((name) => there.has(name)) ? index.closure(set.network) : [];
  if (![...storage, ...network].some(isMissing)) return [];
  return index.closure(driversOf(set));
}

interface KernelCase {
  guest: Guest;
  kernel: Kernel;
  index: ModuleIndex;
  modules: string[];
  replace: Replacement[];
  set: DeviceSet;
}

function planKernel(context: KernelCase, warnings: Warning[]): AppendInitramfs | RebuildInitramfs | null {
  const { guest, kernel, modules, replace } = context;
  const image = kernel.initramfs;
  if (image === null) {
    // It may be in a unified image that INSPECT could not read, and has warned about.
    if (hasUnreadImage(guest)) return null;
    // chooseDevices found another kernel that boots; this one could never boot without an initramfs.
    warnings.push(
      warning(
        'initramfs.none',
        `kernel ${kernel.version} has no initramfs and its disk drivers are modules: it will not start`,
      ),
    );
    return null;
  }
  const isListed = image.loads === 'listed';
  const mustRebuild = guest.options.initramfs === 'rebuild' || image.unreadable !== null || isListed;
  if (!mustRebuild) {
    if (image.loads === 'unknown' && modules.length > 0)
      warnings.push(
        warning(
          'initramfs.unknown-init',
          `nothing in ${image.path} is known to load drivers by itself (udev, nlplug-findfs): they are appended, but only the boot test shows whether its init loads them`,
        ),
      );
    return append(context, image);
  }
  // The tools write the parts from which a unified image is built, not the image itself.
  const isInside = parseSectionPath(image.path) !== null;
  const command = isInside ? null : rebuildCommand(guest.tree, { image: image.path, kernel, modules });
  if (command !== null) {
    const why = isListed
      ? 'it loads only the modules on its own list, and nothing that is appended'
      : image.unreadable === null
        ? 'fix.initramfs asks for it'
        : `it cannot be read: ${image.unreadable}`;
    const wrong =
      replace.length === 0
        ? "lacks drivers of the new VM's disks"
        : 'is made for disks of the old hypervisor';
    const reason = `${wrong}; rebuilt because ${why}`;
    return {
      op: 'rebuild_initramfs',
      fixer: NAME,
      reason,
      path: image.path,
      kernel: kernel.version,
      command,
      modules,
    };
  }
  if (isListed) return withoutTool(context, image.path, warnings);
  if (image.unreadable === null) {
    warnings.push(
      warning(
        'initramfs.no-tool',
        isInside
          ? `${image.path} is inside a unified image: the drivers are appended`
          : `the guest has no known tool that makes ${image.path}: the drivers are appended`,
      ),
    );
    return append(context, image);
  }
  const message = `${image.path} cannot be read (${image.unreadable}) and the guest has no known tool to rebuild it`;
  const others = guest.identity.kernels.filter(({ initramfs: other }) => other?.unreadable === null);
  if (others.length > 0) {
    warnings.push(warning('initramfs.unreadable', `${message}: kernel ${kernel.version} may not start`));
    return null;
  }
  throw new Hyper2kvmError('plan.initramfs-unreadable', message);
}

/** Warns of an initramfs that nothing can be appended to, or throws if no other kernel starts. */
function withoutTool({ guest, kernel, set }: KernelCase, path: string, warnings: Warning[]): null {
  const message = `${path} loads only the modules on its own list, and the guest has no known tool to build it again`;
  if (!guest.identity.kernels.some((other) => canLoad(other, guest, set.storage)))
    throw new Hyper2kvmError('plan.initramfs-list', message, {
      advice:
        'Build the initramfs again in the guest, with virtio_pci and virtio_blk on its list, before the conversion.',
    });
  warnings.push(warning('initramfs.list', `${message}: kernel ${kernel.version} may not start`));
  return null;
}

function append(
  { kernel, index, modules, replace }: KernelCase,
  image: NonNullable<Kernel['initramfs']>,
): AppendInitramfs {
  const there = new Set(image.modules);
  const missing = modules.filter((name) => !there.has(name));
  const files = missing.flatMap((name) => index.path(name) ?? []);
  // Dependencies are in `files`; naming the drivers is enough here.
  const drivers = DEVICE_SETS.flatMap(driversOf).filter((name) => missing.includes(name));
  const lacks = missing.length === 0 ? [] : [`lacks ${(drivers.length > 0 ? drivers : missing).join(', ')}`];
  const stale =
    replace.length === 0 ? [] : [`has ${replace.map(({ path }) => path).join(', ')} of the old hypervisor`];
  return {
    op: 'append_initramfs',
    fixer: NAME,
    reason: `${[...lacks, ...stale].join(' and ')}: kernel ${kernel.version} would not find its root disk`,
    path: image.path,
    kernel: kernel.version,
    lib: image.lib,
    files:
      files.length === 0 ? [] : [...files, ...index.indexes()].map((file) => posix.normalize(file)).sort(),
    modules,
    ...(replace.length === 0 ? {} : { replace }),
  };
}

const warning = (code: string, message: string): Warning => ({ fixer: NAME, code, message });
