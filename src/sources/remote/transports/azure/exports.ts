import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { Hyper2kvmError } from '../../../../errors/error.js';
import type { UndoRecord } from '../../../../model/undo.js';
import { printable } from '../../../../text/escape-terminal.js';
import { isSameRecord, type Undoing } from '../base/undoing.js';
import { type ArmClient, ArmError } from './arm-client.js';
import { DiskAccess, endAccess, isGone } from './disk-access.js';
import { type AzureDisk, type AzureSnapshot, parseSnapshot } from './facts.js';

const POLL_MILLISECONDS = 2_000;
/** For each record: a VM may have many disks, and nothing else removes the snapshots of `convert`. */
const UNDO_MILLISECONDS = 120_000;
/** Of large disks of some kinds it is filled for hours. */
const FILLED_MILLISECONDS = 24 * 60 * 60_000;
const TAG = 'hyper2kvm-job';

/** A disk or snapshot that is to be read. */
export interface Wanted {
  /** What access is asked of: the disk, a snapshot that is there, or the one that is made of the disk. */
  id: string;
  /** The disk that a snapshot is made of; null to read what is there. */
  snapshotOf: AzureDisk | null;
}

/** Returns the id of the snapshot that a job makes of its n-th disk. */
export function snapshotId(disk: AzureDisk, job: string, index: number): string {
  return `${disk.id.replace(/\/disks\/[^/]+$/i, '')}/snapshots/hyper2kvm-${job}-${index}`;
}

/** Accesses to disks, and snapshots, that a job makes: each is recorded before it is made. */
export class Exports {
  readonly #arm: ArmClient;
  readonly #connection: string;
  readonly #undoing: Undoing;
  readonly #log: Logger;
  #planned: readonly UndoRecord[] = [];
  /** In the order in which they were made. */
  #made: UndoRecord[] = [];
  /** Of the oldest snapshot that was made. */
  pointInTime: string | null = null;

  constructor(arm: ArmClient, connection: string, undoing: Undoing, log: Logger) {
    this.#arm = arm;
    this.#connection = connection;
    this.#undoing = undoing;
    this.#log = log;
  }

  /** Whether an earlier attempt has made this, or was about to. */
  isKnown(what: 'access' | 'snapshot', target: string): boolean {
    const record = this.#recordOf(what, target);
    return this.#undoing.known.some((one) => isSameRecord(one, record));
  }

  /** Makes what is needed to read all of these. What fails in the middle is undone by `undo`. */
  async open(wanted: readonly Wanted[], signal: AbortSignal): Promise<DiskAccess[]> {
    const planned = wanted.flatMap(({ id, snapshotOf }) => [
      ...(snapshotOf === null ? [] : [this.#recordOf('snapshot', id)]),
      this.#recordOf('access', id),
    ]);
    await this.#undoing.record(planned);
    this.#planned = planned;
    // From here on, whatever is there of these is this job's.
    const snapshots = planned.filter(({ what }) => what === 'snapshot');
    this.#made = [...snapshots];
    for (const { id, snapshotOf } of wanted)
      if (snapshotOf !== null) await this.#snapshot(id, snapshotOf, signal);
    const accesses: DiskAccess[] = [];
    for (const { id } of wanted) accesses.push(await this.#access(id, signal));
    return accesses;
  }

  /** Undoes what was made; with `keepSnapshots` the next attempt continues with these. Never rejects. */
  async undo(keepSnapshots: boolean): Promise<void> {
    await this.#forgetUnmade();
    for (const record of this.#made.toReversed()) {
      if (keepSnapshots && record.what === 'snapshot') continue;
      try {
        await undoRecord(this.#arm, record, AbortSignal.timeout(UNDO_MILLISECONDS));
        await this.#undoing.forget([record]);
      } catch (err) {
        const facts = { code: 'remote.left-behind', what: record.what, target: record.target };
        this.#log.warn({ ...facts, err }, 'not undone yet');
      }
    }
    this.#made = [];
  }

  /** What this attempt recorded and did not reach: if it exists later, somebody else has made it. */
  async #forgetUnmade(): Promise<void> {
    const others = [...this.#made, ...this.#undoing.known];
    const unmade = this.#planned.filter((record) => !others.some((one) => isSameRecord(one, record)));
    this.#planned = [];
    try {
      if (unmade.length > 0) await this.#undoing.forget(unmade);
    } catch (err) {
      this.#log.warn({ err }, 'records of what was not made cannot be removed');
    }
  }

  async #access(id: string, signal: AbortSignal): Promise<DiskAccess> {
    const record = this.#recordOf('access', id);
    const access = new DiskAccess(this.#arm, id);
    this.#made.push(record);
    try {
      await access.begin(signal);
    } catch (error) {
      if (!(error instanceof ArmError) || error.status !== 409) throw error;
      if (this.isKnown('access', id)) {
        // What an attempt that was killed has left.
        await endAccess(this.#arm, id, signal);
        await access.begin(signal);
        return access;
      }
      // Somebody else’s access is not ours to end.
      this.#made = this.#made.filter((one) => one !== record);
      await this.#undoing.forget([record]);
      throw error;
    }
    return access;
  }

  async #snapshot(id: string, disk: AzureDisk, signal: AbortSignal): Promise<void> {
    let found = await this.#find(id, signal);
    if (found !== null && found.tags?.[TAG] !== this.#undoing.job) {
      this.#made = this.#made.filter((record) => record.target !== id);
      await this.#undoing.forget([this.#recordOf('snapshot', id)]);
      throw new Hyper2kvmError('remote.not-allowed', `${printable(id, 300)} exists, and is not of this job`);
    }
    if (found === null) {
      this.#log.info({ snapshot: id }, 'making a snapshot of the disk');
      await this.#arm.run(
        'PUT',
        id,
        {
          location: disk.location,
          tags: { [TAG]: this.#undoing.job },
          properties: {
            incremental: true,
            creationData: { createOption: 'Copy', sourceResourceId: disk.id },
          },
        },
        signal,
      );
      found = await this.#find(id, signal);
    }
    const time = (await this.#whole(id, found, signal)).properties.timeCreated ?? null;
    if (time !== null && (this.pointInTime === null || time < this.pointInTime)) this.pointInTime = time;
  }

  /** Of some kinds of disks the snapshot is filled in the background. */
  async #whole(id: string, first: AzureSnapshot | null, signal: AbortSignal): Promise<AzureSnapshot> {
    const until = performance.now() + FILLED_MILLISECONDS;
    for (let found = first; ; found = await this.#find(id, signal)) {
      if (found === null || found.properties.provisioningState === 'Failed')
        throw new Hyper2kvmError('remote.interrupted', `${printable(id, 300)}: the snapshot failed`, {
          retryable: true,
        });
      const { provisioningState = 'Succeeded', completionPercent } = found.properties;
      if (provisioningState === 'Succeeded' && (completionPercent ?? 100) >= 100) return found;
      if (performance.now() > until)
        throw new Hyper2kvmError('remote.timeout', `${printable(id, 300)} is not complete after a day`, {
          retryable: true,
        });
      await sleep(POLL_MILLISECONDS, undefined, { signal });
    }
  }

  async #find(id: string, signal: AbortSignal): Promise<AzureSnapshot | null> {
    try {
      return parseSnapshot(await this.#arm.get(id, signal));
    } catch (error) {
      if (isGone(error)) return null;
      throw error;
    }
  }

  #recordOf(what: 'access' | 'snapshot', target: string): UndoRecord {
    return { connection: this.#connection, what, target };
  }
}

/** Undoes what a record names. Resolves also if it is gone already. */
export async function undoRecord(
  arm: ArmClient,
  { what, target }: UndoRecord,
  signal: AbortSignal,
): Promise<void> {
  if (what === 'access') return endAccess(arm, target, signal);
  if (what !== 'snapshot' || !/\/snapshots\/hyper2kvm-[0-9a-z]+-\d+$/i.test(target))
    throw new Hyper2kvmError('remote.not-allowed', `${printable(target, 300)} is not a snapshot of a job`);
  // A snapshot that is read cannot be removed.
  await endAccess(arm, target, signal);
  try {
    await arm.run('DELETE', target, null, signal);
  } catch (error) {
    if (!isGone(error)) throw error;
  }
}
