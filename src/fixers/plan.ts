import { applyOperations } from './apply.js';
import type { Fixer, Guest } from './fixer.js';
import type { Operation, Plan } from './operation.js';
import { FIXERS } from './registry.js';

/** What a guest without any fixer's word gets: KVM's own devices. */
export const VIRTIO_DEVICES: Plan['devices'] = { disk_bus: 'virtio', nic_model: 'virtio' };

/** The plan that changes nothing (`fix.mode = "none"`). */
export const EMPTY_PLAN: Plan = {
  version: 1,
  operations: [],
  warnings: [],
  devices: VIRTIO_DEVICES,
  nics: [],
};

/** Runs the fixers in order; each sees what the earlier ones planned. Pure. Throws `plan.*` where a guest cannot be made right. */
export function planGuest(guest: Guest, fixers: readonly Fixer[] = FIXERS): Plan {
  let current = guest;
  let plan = EMPTY_PLAN;
  for (const fixer of fixers) {
    const { operations, warnings, devices, nics } = fixer.plan(current);
    plan = {
      ...plan,
      operations: [...plan.operations, ...operations],
      warnings: [...plan.warnings, ...warnings],
      ...(devices === undefined ? {} : { devices }),
      ...(nics === undefined ? {} : { nics }),
    };
    current = guestAfter(current, operations);
  }
  return plan;
}

/** The guest with `operations` done: its tree, the modules that its initramfs files then hold, and its guest agent. */
export function guestAfter(guest: Guest, operations: readonly Operation[]): Guest {
  const added = new Map<string, string[]>();
  for (const operation of operations) {
    if (operation.op === 'append_initramfs' || operation.op === 'rebuild_initramfs')
      added.set(operation.path, operation.modules);
  }
  const kernels = guest.identity.kernels.map((kernel) => {
    const modules = kernel.initramfs === null ? undefined : added.get(kernel.initramfs.path);
    if (kernel.initramfs === null || modules === undefined) return kernel;
    const all = [...new Set([...kernel.initramfs.modules, ...modules])].sort();
    return { ...kernel, initramfs: { ...kernel.initramfs, modules: all, unreadable: null } };
  });
  return {
    ...guest,
    identity: {
      ...guest.identity,
      kernels,
      qemu_guest_agent:
        guest.identity.qemu_guest_agent || operations.some(({ op }) => op === 'install_packages'),
    },
    tree: applyOperations(guest.tree, operations),
  };
}
