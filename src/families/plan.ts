import { Hyper2kvmError } from '../errors/error.js';
import { machineArchitecture } from '../machine/architecture.js';
import type { Identity } from '../model/identity.js';
import { applyOperations } from '../operations/apply-operations.js';
import type { Plan } from '../operations/plan.js';
import type { Guest } from './base/fixer.js';
import { familyOf } from './registry.js';
import { withoutUnsafe } from './while-running.js';

const EMPTY_PLAN: Plan = {
  version: 1,
  operations: [],
  warnings: [],
  // The devices if no fixer chooses any.
  devices: { disk_bus: 'virtio', nic_model: 'virtio' },
  nics: [],
};

/** Returns the plan that changes nothing (`fix.mode = "none"`): only the devices are chosen. Pure. */
export function planNothing(guest: Guest<Identity>): Plan {
  refuseBus(guest);
  return { ...EMPTY_PLAN, ...familyOf(guest.identity).unfixed(guest) };
}

/**
 * Runs the family's fixers in order; each sees what the earlier ones planned. Of a guest that still runs on
 * its old hypervisor, only what is safe there (`whileRunning` of fixers and operations). Pure. Throws `plan.*`
 * for a guest that cannot be fixed.
 */
export function planGuest(guest: Guest<Identity>, { isRunning } = { isRunning: false }): Plan {
  const family = familyOf(guest.identity);
  family.refuse?.(guest.identity);
  refuseBus(guest);
  let current = guest;
  let plan = EMPTY_PLAN;
  for (const fixer of family.fixers.filter(({ whileRunning }) => whileRunning || !isRunning)) {
    const planned = fixer.plan(current);
    const { operations, warnings, devices, nics } = isRunning
      ? withoutUnsafe(planned, guest.identity)
      : planned;
    plan = {
      ...plan,
      operations: [...plan.operations, ...operations],
      warnings: [...plan.warnings, ...warnings],
      ...(devices === undefined ? {} : { devices }),
      ...(nics === undefined ? {} : { nics }),
    };
    current = applyOperations(current, operations);
  }
  return { ...plan, warnings: [...plan.warnings, ...family.review(guest, plan.operations)] };
}

function refuseBus({ identity, options }: Guest<Identity>): void {
  const bus = options.devices;
  if (bus === 'auto' || machineArchitecture(identity.architecture).machines[bus] !== undefined) return;
  throw new Hyper2kvmError(
    'plan.devices-unsupported',
    `fix.devices = "${bus}": a machine of ${identity.architecture} has no such disks`,
  );
}
