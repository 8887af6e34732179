import { z } from 'zod';
import type { JobOptions } from '../config/schema.js';
import type { ErrorRecord } from '../errors/error.js';
import type { Boot, Content } from '../model/boot.js';
import type { PassedOver } from '../model/drop.js';
import type { Hardware } from '../model/hardware.js';
import type { Identity } from '../model/identity.js';
import type { Devices, Warning } from '../model/plan.js';
import type { RemoteFacts } from '../model/remote.js';
import type { DeviceTraffic, SourceFile, Versions } from '../model/report.js';
import type { StageRecord } from '../model/stage-record.js';
import type { DeliveredDisk } from '../model/storage.js';
import { type Plan, planSchema } from '../operations/plan.js';
import type { Operation } from '../operations/registry.js';
import { type ConvertOutput, convertOutput } from '../stages/convert/output.js';
import { fetchOutput } from '../stages/fetch/output.js';
import { fixOutput } from '../stages/fix/output.js';
import { inspectOutput } from '../stages/inspect/output.js';
import { validateOutput } from '../stages/validate/output.js';
import type { Attempt, Attempts } from './attempts.js';

/**
 * The contents of report.json. Sizes in bytes, times ISO 8601 in UTC; `null` for what a failed job did not
 * reach.
 */
export interface Report {
  job: string;
  vm: string;
  kind: 'vm' | 'data';
  verdict: 'converted' | 'failed';
  started_at: string;
  finished_at: string;
  stages: StageRecord[];
  identity: Identity | null;
  hardware: Hardware | null;
  plan: Operation[] | null;
  devices: Devices | null;
  warnings: Warning[];
  /** What FIX read back from the guest and found correct. */
  proofs: string[];
  /** `file` is relative to the bundle. */
  disks: Omit<DeliveredDisk, 'index'>[];
  /** Null if it was not counted. */
  device: DeviceTraffic | null;
  boot: Boot | null;
  /** The first attempt, if its boot led to another plan. */
  first_attempt: Pick<Attempt, 'boot' | 'directory'> | null;
  /** Each plan that was tried after a failed boot, with its own boot; the last one is the bundle's. */
  remedies: Attempt[];
  /** For a data disk, instead of a boot: the comparison with its source. */
  content: Content | null;
  /**
   * How to start the VM on the host that converted it: lines for a shell. Null for a data disk, and if the
   * job failed.
   */
  start: { libvirt: string[]; qemu: string } | null;
  /**
   * The files of the drop; empty if the job failed: they are beside the report, untouched. For a VM that was
   * fetched, where it came from, with those files (its job.toml) as `dropped`.
   */
  source: SourceFile[] | (RemoteFacts & { dropped: SourceFile[] });
  /** Files of the drop that are not part of a disk. */
  passed_over: PassedOver[];
  versions: Versions;
  error: ErrorRecord | null;
  failed_stage: string | null;
}

/** The stages' outputs that a report uses, each null if the stage did not complete or was skipped. */
export interface StageOutputs {
  fetch: z.infer<typeof fetchFacts> | null;
  identity: Identity | null;
  plan: Plan | null;
  proofs: string[];
  disks: ConvertOutput['disks'];
  /** What the stages read; null if an older version converted the job. */
  source: readonly SourceFile[] | null;
  device: DeviceTraffic | null;
  boot: Boot | null;
  content: Content | null;
}

/** The part that an older version's FETCH also knew, because this version publishes its last jobs. */
const fetchFacts = fetchOutput.pick({
  hardware: true,
  passed_over: true,
  warnings: true,
  remote: true,
});
const planEnvelope = z.object({ plan: planSchema });

/**
 * Reads the runner's untyped outputs by the stages' own schemas. An output that does not fit its schema is an
 * error (ZodError).
 */
export function readOutputs(outputs: Record<string, unknown>): StageOutputs {
  const read = <T>(stage: string, schema: z.ZodType<T>): T | null => {
    const output = outputs[stage];
    return output === undefined || output === null ? null : schema.parse(output);
  };
  return {
    fetch: read('fetch', fetchFacts),
    identity: read('inspect', inspectOutput)?.identity ?? null,
    plan: read('plan', planEnvelope)?.plan ?? null,
    proofs: read('fix', fixOutput)?.proofs ?? [],
    disks: read('convert', convertOutput)?.disks ?? [],
    source: read('convert', convertOutput)?.source ?? null,
    device: read('convert', convertOutput)?.device ?? null,
    boot: read('validate', validateOutput)?.boot ?? null,
    content: read('validate', validateOutput)?.content ?? null,
  };
}

export interface ReportFacts {
  job: string;
  vm: string;
  options: JobOptions;
  outputs: StageOutputs;
  records: readonly StageRecord[];
  startedAt: string;
  finishedAt: string;
  /** Names of the delivered disks in the bundle, by position in `outputs.disks`; empty if the job failed. */
  diskNames: readonly string[];
  source: readonly SourceFile[];
  start: Report['start'];
  versions: Versions;
  failure: { error: ErrorRecord; stage: string | null } | null;
  /** Null if there was only one. */
  attempts: Attempts | null;
}

function sourceOf(remote: RemoteFacts | undefined, dropped: readonly SourceFile[]): Report['source'] {
  return remote === undefined ? [...dropped] : { ...remote, dropped: [...dropped] };
}

/** Builds the report from the stages' outputs. Pure. */
export function buildReport(facts: ReportFacts): Report {
  const { outputs } = facts;
  return {
    job: facts.job,
    vm: facts.vm,
    kind: facts.options.kind,
    verdict: facts.failure === null ? 'converted' : 'failed',
    started_at: facts.startedAt,
    finished_at: facts.finishedAt,
    stages: [...facts.records],
    identity: outputs.identity,
    hardware: outputs.fetch?.hardware ?? null,
    plan: outputs.plan?.operations ?? null,
    devices: outputs.plan?.devices ?? null,
    warnings: [...(outputs.fetch?.warnings ?? []), ...(outputs.plan?.warnings ?? [])],
    proofs: outputs.proofs,
    disks: facts.diskNames.map((file, position) => {
      const { index: _, ...disk } = outputs.disks[position]!;
      return { ...disk, file };
    }),
    device: outputs.device,
    boot: outputs.boot,
    ...attemptsOf(facts),
    content: outputs.content,
    start: facts.start,
    source: sourceOf(outputs.fetch?.remote, facts.source),
    passed_over: outputs.fetch?.passed_over ?? [],
    versions: facts.versions,
    error: facts.failure?.error ?? null,
    failed_stage: facts.failure?.stage ?? null,
  };
}

/** The first attempt, then those that followed it. Only the last one's boot is among the stages' outputs. */
function attemptsOf({ attempts, outputs, records }: ReportFacts): Pick<Report, 'first_attempt' | 'remedies'> {
  if (attempts === null) return { first_attempt: null, remedies: [] };
  const [first, ...others] = attempts.earlier;
  const error =
    outputs.boot === null ? (records.find((record) => record.error !== null)?.error ?? null) : null;
  const last = { ...attempts.last, boot: outputs.boot, error, directory: null };
  const { boot = null, directory = null } = first ?? {};
  return { first_attempt: { boot, directory }, remedies: [...others, last] };
}
