import type { Operation } from '../model/operation.js';
import type { Plan } from '../model/plan.js';
import { applyOperations } from '../operations/apply.js';
import type { Fixer, Guest } from './base/fixer.js';
import { lostSignatures } from './linux/unified-images.js';
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
  return { ...plan, warnings: [...plan.warnings, ...lostSignatures(guest, plan.operations)] };
}

type InitramfsOperation = Extract<Operation, { op: 'append_initramfs' | 'rebuild_initramfs' }>;

/** A rebuilt one copies the guest's files anew, as they are after the plan. */
function textsAfter(before: Record<string, string>, operation: InitramfsOperation): Record<string, string> {
  if (operation.op === 'rebuild_initramfs') return {};
  const texts = new Map(Object.entries(before));
  for (const { path, text } of operation.replace ?? []) {
    if (text === null) texts.delete(path);
    else texts.set(path, text);
  }
  return Object.fromEntries(texts);
}

/** The guest with `operations` done: its tree, the modules that its initramfs files then hold, and its guest agent. */
export function guestAfter(guest: Guest, operations: readonly Operation[]): Guest {
  const changed = new Map<string, InitramfsOperation>();
  for (const operation of operations) {
    if (operation.op === 'append_initramfs' || operation.op === 'rebuild_initramfs')
      changed.set(operation.path, operation);
  }
  const kernels = guest.identity.kernels.map((kernel) => {
    const operation = kernel.initramfs === null ? undefined : changed.get(kernel.initramfs.path);
    if (kernel.initramfs === null || operation === undefined) return kernel;
    const modules = [...new Set([...kernel.initramfs.modules, ...operation.modules])].sort();
    const texts = textsAfter(kernel.initramfs.texts ?? {}, operation);
    return { ...kernel, initramfs: { ...kernel.initramfs, modules, texts, unreadable: null } };
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
