import { mkdir, readdir, rm } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import type { Logger } from 'pino';
import type { Config } from '../../config/schema.js';
import { finalName } from '../../disk/base/partial-names.js';
import { Hyper2kvmError } from '../../errors/error.js';
import { exists } from '../../files/exists.js';
import { usedBytes } from '../../files/space.js';
import type { RemoteFacts } from '../../model/remote.js';
import { printable } from '../../text/escape-terminal.js';
import type { SourceContext } from '../base/source.js';
import { Bandwidth } from './landing/bandwidth.js';
import { HostSlots } from './landing/host-slots.js';
import { isSameFile, readJournal } from './landing/journal.js';
import { type LandedFile, type LandingPlace, landFile } from './landing/land-file.js';
import { Meter } from './landing/meter.js';
import type { RemoteSpec } from './spec.js';
import type { RemoteFile, RemoteVm } from './transports/base/transport.js';
import type { Undoing } from './transports/base/undoing.js';
import { openRemoteVm } from './transports/registry.js';

/** What landing may use, here or in the fetching unit. */
export interface LandEnvironment
  extends Pick<SourceContext, 'progress' | 'reserve' | 'account' | 'advanced'> {
  config: Pick<Config, 'remote' | 'retry'>;
  /** The job's. The VM's files appear in `remote/vm` below it. */
  workDirectory: string;
  signal: AbortSignal;
  log: Logger;
  undoing: Undoing;
}

/** Of all landings of this process. */
const bandwidth = new Bandwidth();
const hosts = new HostSlots();

const MIB = 1024 * 1024;

/** Returns where the files of a VM are landed. */
function landedDirectory(workDirectory: string): string {
  return join(workDirectory, 'remote', 'vm');
}

/**
 * Lands all files of a VM, continuing what earlier attempts left. Nothing is written before their sizes are
 * known and reserved. Errors: `remote.*`, those of `reserve`, those of the filesystem.
 */
export async function landVm(spec: RemoteSpec, environment: LandEnvironment): Promise<RemoteFacts> {
  const { config, workDirectory, signal, log } = environment;
  const started = performance.now();
  const connection = config.remote.connections.find(({ name }) => name === spec.connection);
  if (connection === undefined)
    throw new Hyper2kvmError(
      'remote.connection-unknown',
      `there is no connection “${printable(spec.connection)}”`,
    );
  bandwidth.limit(config.remote.bandwidth_mib);
  environment.progress({ percent: 0, step: `connecting to ${connection.name}` });
  const { parallel } = config.remote;
  const vm = await openRemoteVm(spec, connection, { parallel, signal, log }, environment.undoing);
  let outcome: 'whole' | 'broken' | 'failed' = 'failed';
  try {
    refuseNames(vm.files);
    refuseDigests(spec, vm.files);
    const directory = landedDirectory(workDirectory);
    for (const { name } of vm.files)
      for (const place of Object.values(placeOf(directory, name)))
        await mkdir(dirname(place), { recursive: true, mode: 0o700 });
    await removeOthers(directory, vm.files);
    await refuseMixture(vm.files, directory);
    const total = vm.files.reduce((sum, { size }) => sum + size, 0);
    const written = await usedBytes(join(workDirectory, 'remote'));
    await environment.reserve(Math.max(total, written), { written, atLeast: true });
    log.info({ files: vm.files.length, bytes: total, landed: written }, 'landing the files of the VM');
    const meter = new Meter(environment.progress);
    meter.expect(total);
    const files = await landAll(vm, spec, { ...environment, meter, directory });
    await vm.confirm?.(signal);
    outcome = 'whole';
    const seconds = Math.round(performance.now() - started) / 1000;
    log.info({ received: meter.received, skipped: meter.skipped, seconds }, 'files of the VM landed');
    return {
      type: connection.type,
      connection: connection.name,
      vm: spec.vm,
      moref: vm.identity?.moref ?? null,
      instance_uuid: vm.identity?.instanceUuid ?? null,
      transport: vm.transport,
      power: vm.identity?.power ?? null,
      point_in_time: vm.pointInTime ?? null,
      quiesced: vm.pointInTime === undefined ? null : false,
      bytes: files.reduce((sum, { size }) => sum + size, 0),
      skipped: meter.skipped,
      retries: files.reduce((sum, { retries }) => sum + retries, 0),
      seconds,
      files: files.map(({ name, size, sha256 }) => ({ name, size, sha256 })),
    };
  } catch (error) {
    // An abort says nothing of the VM: the job may continue at the daemon's next start.
    const isFinal = !signal.aborted && error instanceof Hyper2kvmError && !error.retryable;
    if (environment.undoing.isKept && !isFinal) outcome = 'broken';
    throw error;
  } finally {
    await vm.close(outcome);
  }
}

async function landAll(
  vm: RemoteVm,
  spec: RemoteSpec,
  {
    config,
    signal,
    log,
    account,
    advanced,
    meter,
    directory,
  }: LandEnvironment & { meter: Meter; directory: string },
): Promise<LandedFile[]> {
  const landed: LandedFile[] = [];
  for (const [index, file] of vm.files.entries()) {
    meter.step = `fetching ${printable(file.name, 40)} (${index + 1} of ${vm.files.length})`;
    const release = await hosts.take(vm.host, config.remote.per_host, signal);
    const before = meter.received;
    try {
      landed.push(
        await landFile(file, placeOf(directory, file.name), spec.sha256[file.name], {
          parallel: config.remote.parallel,
          chunkBytes: config.remote.chunk_mib * MIB,
          attempts: config.retry.attempts,
          ...{ bandwidth, meter, signal, log, advanced },
        }),
      );
    } finally {
      release();
      const bytes = meter.received - before;
      account({ read: bytes, written: bytes });
    }
  }
  return landed;
}

function placeOf(directory: string, name: string): LandingPlace {
  return {
    whole: join(directory, name),
    part: join(directory, `${name}.part`),
    // Not in the VM's directory, where it would count as one of its files.
    journal: join(directory, '..', `${name}.journal`),
    unsynced: join(directory, '..', `${name}.unsynced`),
  };
}

function refuseNames(files: readonly RemoteFile[]): void {
  const partial = files.find(({ name }) => finalName(name) !== null);
  if (partial === undefined) return;
  throw new Hyper2kvmError(
    'remote.not-allowed',
    `${partial.origin}: a file of this name is an unfinished download`,
  );
}

/** A digest of no file would be a check that the user expects and that is never made. */
function refuseDigests({ sha256 }: RemoteSpec, files: readonly RemoteFile[]): void {
  const names = new Set(files.map(({ name }) => name));
  const unknown = Object.keys(sha256).find((name) => !names.has(name));
  if (unknown === undefined) return;
  throw new Hyper2kvmError(
    'remote.not-allowed',
    `[source] sha256 names ${printable(unknown)}, which is not fetched`,
  );
}

/** Removes what an earlier `vm` of this job has left. */
async function removeOthers(directory: string, files: readonly RemoteFile[]): Promise<void> {
  const own = new Set(files.flatMap(({ name }) => [name, `${name}.part`]));
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (!entry.isDirectory() && !own.has(relative(directory, path))) await rm(path);
  }
}

/** Files of two states of a VM do not make a VM. */
async function refuseMixture(files: readonly RemoteFile[], directory: string): Promise<void> {
  let whole: RemoteFile | null = null;
  let changed: RemoteFile | null = null;
  for (const file of files) {
    const place = placeOf(directory, file.name);
    const state = await readJournal(place.journal);
    if (state === null) continue;
    // What no validator can tell apart is fetched again as a whole.
    if (file.validator === null) continue;
    if (!isSameFile(state.header, file)) changed ??= file;
    else if (state.sha256 !== null && ((await exists(place.whole)) || (await exists(place.part))))
      whole ??= file;
  }
  if (whole === null || changed === null) return;
  throw new Hyper2kvmError(
    'remote.source-changed',
    `${changed.origin} has changed since ${printable(whole.name)} was fetched`,
  );
}
