import { cp, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { JobOptions } from '../config/schema.js';
import { type ErrorRecord, Hyper2kvmError } from '../errors/error.js';
import { type Digest, digestFile, digestTree } from '../files/digest-tree.js';
import { syncTree, writeDurable } from '../files/durable.js';
import { exists } from '../files/exists.js';
import type { StageRecord } from '../model/stage-record.js';
import { toolVersions } from '../tools/versions.js';
import { EARLIER_ATTEMPTS, lastOptions, readAttempts, readEvidence } from './attempts.js';
import { readScreens, readSerialTail } from './boot-evidence.js';
import { checksumLine } from './checksums.js';
import { type Delivered, deliver, deliveredMachine, readHostFacts } from './delivered.js';
import { operationDiffs } from './diff.js';
import { digestConverted } from './digest-converted.js';
import { applyMoves, emptyDirectory, type Move, openTree, undoMoves } from './files.js';
import { reportHtml } from './html.js';

import { grantQemuAccess } from './libvirt-access.js';

import { buildReport, type Report, readOutputs, type StageOutputs } from './report.js';

/** What both endings of a job need. Times are ISO 8601 in UTC. */
interface OutcomeRequest {
  /** The job's id and the VM's (safe) name. */
  job: string;
  vm: string;
  /** The job's scratch directory: the stages' outputs name files relative to it. */
  workDirectory: string;
  options: JobOptions;
  /** Stage outputs by stage name, as the runner returns them. */
  outputs: Record<string, unknown>;
  records: readonly StageRecord[];
  startedAt: string;
  finishedAt: string;
  /** The current directory of the drop, and its names there. */
  source: { directory: string; entries: readonly string[] };
}

export interface BundleRequest extends OutcomeRequest {
  /**
   * Where the bundle is built, on the filesystem of `workDirectory`. What an earlier attempt left there is
   * replaced.
   */
  bundleDirectory: string;
  /** The absolute path of the published bundle, which contains the VM's disks. */
  finalDirectory: string;
  /**
   * `archive` moves `source.directory` as a whole to `source/` in the bundle; `delete` and `leave` do not
   * touch it.
   */
  keepSource: JobOptions['config']['archive']['source'];
  /** `sourceId` of the converted drop; null if unknown (a job from an older daemon). */
  sourceId: string | null;
  signal?: AbortSignal;
}

export interface FailureRequest extends OutcomeRequest {
  /**
   * Where `reason.json`, `report.json`, `report.html`, `plan.*` and `boot/` are written; created if missing.
   * The caller moves the source.
   */
  failedDirectory: string;
  /** The directory of an interrupted `assembleBundle`, from which everything is moved back first. */
  bundleDirectory?: string;
  error: ErrorRecord;
  failedStage: string | null;
}

/**
 * The contents of reason.json: why the VM is in failed/, for people and scripts. It has the error's code,
 * message, advice and causes, and where it happened.
 */
interface Reason extends ErrorRecord {
  job: string;
  vm: string;
  stage: string | null;
  failed_at: string;
  what_to_do: string[];
}

const KEPT_FILES = ['plan.json', 'plan.diff', 'job.log'] as const;
const BOOT_DIRECTORY = 'boot';
/** Directories of boots: the last attempt's, and those before it. */
const EVIDENCE = [BOOT_DIRECTORY, ...EARLIER_ATTEMPTS] as const;

/**
 * Builds the whole bundle, fsynced, ready to be published by one rename. Large files (disks, source) are
 * moved by rename, at the end: nothing is copied, even if hard links are refused (a file dropped by another
 * user). After a crash, the next call first moves them back and builds the bundle again. Returns the contents
 * of report.json. Rejects with the filesystem's errors, `source.changed`, `report.source-twice`, or the
 * signal's reason.
 */
export async function assembleBundle(request: BundleRequest): Promise<Report> {
  const { workDirectory, bundleDirectory } = request;
  const outputs = readOutputs(request.outputs);
  const diskNames = outputs.disks.map((disk, n) => `${request.vm}-disk${n}.${disk.format}`);
  const moves = await bundleMoves(request, outputs, diskNames);
  await restoreMoved(moves, bundleDirectory);
  await emptyDirectory(bundleDirectory);
  // A directory that this cannot open is reported as closed, with the command that opens it.
  await grantQemuAccess([bundleDirectory], request.signal === undefined ? {} : { signal: request.signal });

  const source = await digestConverted({ ...request, read: outputs.source });
  const versions = await toolVersions(request.signal);
  const attempts = await readAttempts(workDirectory, outputs);
  const asDelivered = { ...request, options: lastOptions(request.options, attempts) };
  const delivered = request.options.kind === 'vm' ? await deliverVm(asDelivered, outputs, diskNames) : null;
  const report = buildReport({
    ...request,
    outputs,
    diskNames,
    start: delivered?.start ?? null,
    source,
    versions,
    failure: null,
    attempts,
  });
  const bootDirectory = join(workDirectory, BOOT_DIRECTORY);
  const html = reportHtml(report, {
    diffs: await operationDiffs(report.plan ?? []),
    screens: await readScreens(bootDirectory, report.boot),
    serialTail: await readSerialTail(join(bootDirectory, 'serial.log')),
    attempts: await readEvidence(workDirectory, attempts),
  });
  const texts: [string, string][] = [
    ['report.json', json(report)],
    ['report.html', html],
  ];
  if (delivered !== null) texts.push([`${request.vm}.xml`, delivered.domain]);
  for (const [name, text] of texts) await writeDurable(join(bundleDirectory, name), text);

  const sums = [
    ...diskNames.map((name, n) => ({ path: Buffer.from(name), sha256: outputs.disks[n]!.sha256 })),
    ...(await digestTree(bundleDirectory, '')),
    ...(await digestMoved(workDirectory)),
    ...(request.keepSource === 'archive'
      ? source.map(({ path, sha256 }) => ({ path: Buffer.from(`source/${path}`), sha256 }))
      : []),
  ].sort((a, b) => Buffer.compare(a.path, b.path));
  const lines = sums.map(({ path, sha256 }) => checksumLine(sha256, path));
  await writeDurable(join(bundleDirectory, 'SHA256SUMS'), Buffer.concat(lines));

  request.signal?.throwIfAborted();
  for (const name of await evidenceNames(workDirectory)) await openTree(join(workDirectory, name));
  await applyMoves(moves);
  await syncTree(bundleDirectory);
  return report;
}

/** Writes the files that explain a failure, fsynced. Can be repeated. Returns the contents of report.json. */
export async function writeFailure(request: FailureRequest): Promise<Report> {
  const { failedDirectory, workDirectory, error, failedStage } = request;
  const outputs = readOutputs(request.outputs);
  if (request.bundleDirectory !== undefined) {
    const bundle = { ...request, bundleDirectory: request.bundleDirectory, keepSource: 'archive' as const };
    const diskNames = outputs.disks.map((disk, n) => `${request.vm}-disk${n}.${disk.format}`);
    await restoreMoved(await bundleMoves(bundle, outputs, diskNames), request.bundleDirectory);
  }
  await mkdir(failedDirectory, { recursive: true });
  const bootDirectory = join(workDirectory, BOOT_DIRECTORY);
  const attempts = await readAttempts(workDirectory, outputs);
  const report = buildReport({
    ...request,
    outputs,
    attempts,
    diskNames: [],
    source: [],
    start: null,
    versions: await toolVersions(),
    failure: { error, stage: failedStage },
  });
  const evidence = await evidenceNames(workDirectory);
  for (const name of [...KEPT_FILES, ...evidence]) {
    const kept = join(workDirectory, name);
    if (await exists(kept)) await cp(kept, join(failedDirectory, name), { recursive: true, force: true });
  }
  const html = reportHtml(report, {
    diffs: await operationDiffs(report.plan ?? []),
    screens: await readScreens(bootDirectory, outputs.boot),
    serialTail: await readSerialTail(join(bootDirectory, 'serial.log')),
    attempts: await readEvidence(workDirectory, attempts),
  });
  for (const name of evidence) await openTree(join(failedDirectory, name));
  await writeDurable(join(failedDirectory, 'report.html'), html);
  await writeDurable(join(failedDirectory, 'report.json'), json(report));
  await writeDurable(join(failedDirectory, 'reason.json'), json(failureReason(request)));
  await syncTree(failedDirectory);
  return report;
}

async function deliverVm(
  request: BundleRequest,
  outputs: StageOutputs,
  diskNames: readonly string[],
): Promise<Delivered> {
  const machine = deliveredMachine(request, outputs, diskNames);
  const signal = request.signal ?? new AbortController().signal;
  return deliver(request, outputs, machine, await readHostFacts(machine, outputs.boot, request, signal));
}

/** Returns what people read first. Pure. */
function failureReason(request: FailureRequest): Reason {
  const { job, vm, error, failedStage } = request;
  return {
    job,
    vm,
    stage: failedStage,
    ...error,
    failed_at: request.finishedAt,
    what_to_do: [
      ...(error.advice === '' ? [] : [error.advice]),
      'The original files are untouched in source/. Drop them into incoming again once the cause is fixed, or run:',
      `hyper2kvm retry ${job}`,
    ],
  };
}

async function bundleMoves(
  request: Pick<BundleRequest, 'workDirectory' | 'bundleDirectory' | 'keepSource' | 'source'>,
  outputs: StageOutputs,
  diskNames: readonly string[],
): Promise<Move[]> {
  const { workDirectory, bundleDirectory } = request;
  const moves = outputs.disks.map((disk, n) => ({
    from: join(workDirectory, disk.file),
    to: join(bundleDirectory, diskNames[n]!),
  }));
  for (const name of [...KEPT_FILES, ...EVIDENCE]) {
    const move = { from: join(workDirectory, name), to: join(bundleDirectory, name) };
    if ((await exists(move.from)) || (await exists(move.to))) moves.push(move);
  }
  if (request.keepSource === 'archive')
    moves.push({ from: request.source.directory, to: join(bundleDirectory, 'source') });
  return moves;
}

/** Checks that the bundle directory contains nothing of the source before it is emptied. */
async function restoreMoved(moves: readonly Move[], bundleDirectory: string): Promise<void> {
  await undoMoves(moves);
  if (!(await exists(join(bundleDirectory, 'source')))) return;
  throw new Hyper2kvmError(
    'report.source-twice',
    `${bundleDirectory} already holds a source, and so does the job’s directory`,
  );
}

/** Returns the digests of the small files that are moved at the end, under their final names. */
async function digestMoved(workDirectory: string): Promise<Digest[]> {
  const digests: Digest[] = [];
  for (const name of KEPT_FILES) {
    const path = join(workDirectory, name);
    if (await exists(path))
      digests.push({ path: Buffer.from(name), ...(await digestFile(Buffer.from(path))) });
  }
  for (const name of await evidenceNames(workDirectory))
    digests.push(...(await digestTree(join(workDirectory, name), name)));
  return digests;
}

/** Returns those of EVIDENCE that are in the directory. */
async function evidenceNames(directory: string): Promise<string[]> {
  const names = [];
  for (const name of EVIDENCE) if (await exists(join(directory, name))) names.push(name);
  return names;
}

function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
