import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { withUnifiedImages } from '../access/unified-images.js';
import type { JobOptions } from '../config/schema.js';
import { Hyper2kvmError } from '../errors/error.js';
import type { InitramfsListing } from '../guest/initramfs-listing.js';
import type { Identity } from '../model/identity.js';
import { executeOperations } from '../operations/execute-operations.js';
import type { Plan } from '../operations/plan.js';
import { proveOutcomes } from '../operations/prove-outcomes.js';
import { describeChange, hardLinkWarnings } from '../ssh/changes.js';
import type { HostAccess } from '../ssh/open-host.js';
import type { StagingWriter } from '../ssh/staging-writer.js';
import { provePlan } from '../stages/fix/prove-plan.js';
import { inspectInThread } from '../stages/inspect/in-thread.js';
import { makePlan } from '../stages/plan/make-plan.js';
import { canonicalJson, sha256 } from '../text/canonical-json.js';

/** A plan for a running host, carried out in every detail but the last. */
export interface HostPlan {
  identity: Identity;
  plan: Plan;
  /** Of the plan, of what is there now of each file and of what it becomes. */
  digest: string;
  /** Has all changes; the host has none of them until its `sync`. */
  writer: StagingWriter;
}

export interface HostRequest {
  /** The new VM's name. */
  vm: string;
  options: JobOptions;
  workDirectory: string;
  signal: AbortSignal;
}

/**
 * Inspects the host, plans what is safe while it runs, and works out and proves each file's new content.
 * Changes nothing on the host. Rejects with `live.unsupported` and like INSPECT, PLAN and FIX.
 */
export async function planHost(access: HostAccess, request: HostRequest): Promise<HostPlan> {
  const { workDirectory, options, signal, vm } = request;
  const { firmware } = access.facts;
  const inspect = await inspectInThread(
    access.port,
    {
      ...{ isOffline: false, keys: [], controllers: [], diskIds: [], nics: [] },
      ...{ chosenRoot: null, firmware, workDirectory },
    },
    { signal, progress: () => {} },
  );
  const { identity } = inspect;
  if (identity.os_type !== 'linux' || identity.as_is !== undefined) throw unsupported(identity);
  const hardware = {
    ...{ name: null, memory_mib: null, vcpus: null, os_hint: null },
    ...{ firmware, nics: [] },
  };
  const { plan: made } = await makePlan(
    { job: { id: vm, vm }, workDirectory, signal },
    { fetch: { hardware, disks: [] }, flatten: { disks: [] }, inspect },
    options,
    { isRunning: true },
  );
  const writer = access.writer({ selinux: identity.selinux });
  const { operations } = made;
  const guest = withUnifiedImages(writer);
  const listings = await readFile(join(workDirectory, inspect.initramfs_listings), 'utf8');
  await executeOperations(guest, operations, {
    signal,
    listings: JSON.parse(listings) as Record<string, InitramfsListing>,
  });
  await proveOutcomes(guest, operations);
  const snapshot = join(workDirectory, inspect.snapshot);
  await provePlan(guest, { snapshot, operations, identity, isRunning: true }, signal);
  const plan = { ...made, warnings: [...made.warnings, ...hardLinkWarnings(writer.changes())] };
  const digest = `sha256:${sha256(canonicalJson({ plan, changes: writer.changes().map(describeChange) }))}`;
  return { identity, plan, digest, writer };
}

function unsupported({ os_name: name }: Identity): Hyper2kvmError {
  return new Hyper2kvmError('live.unsupported', `${name} cannot be prepared while it runs`);
}
