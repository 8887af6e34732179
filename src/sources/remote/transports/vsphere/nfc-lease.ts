import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { childrenNamed, type XmlElement } from '../../../../disk/ovf/xml.js';
import { Hyper2kvmError } from '../../../../errors/error.js';
import { markup } from '../../../../text/markup.js';
import { interrupted } from '../http/errors.js';
import { slotOfKey } from './controllers.js';
import { faultOfLocalized, VsphereFault } from './faults.js';
import { referenceOf, retrieve } from './properties.js';
import { type Session, textOf } from './session.js';
import type { MoRef } from './soap-client.js';

/** A disk of an export. */
export interface NfcDevice {
  /** What the lease calls it. */
  key: string;
  /** `scsi0:0`; null for what is not at a controller of disks. */
  slot: string | null;
  /** As the server wrote it. Whoever has it may read the disk: it is written nowhere. */
  url: string;
  /** SHA-1 of the certificate of the host that it leads to; empty for the server itself. */
  thumbprint: string;
}

const FIRST_POLL_MILLISECONDS = 100;
const SLOWEST_POLL_MILLISECONDS = 2_000;
/** Until its host is ready to send. */
const READY_MILLISECONDS = 10 * 60_000;
/** A lease that a killed process has left ends by itself, after 5 minutes if the server has its defaults. */
const LOCKED_MILLISECONDS = 6 * 60_000;
const LONGEST_INTERVAL_SECONDS = 60;
const END_MILLISECONDS = 10_000;
/** After a disk of hours has come, a break of the network must not let it begin again. */
const MANIFEST_ATTEMPTS = 6;
const MANIFEST_WAIT_MILLISECONDS = 500;

/**
 * An export of a VM (`HttpNfcLease`), which holds the VM until it is ended: nobody can start or change it. It is
 * kept up by reports of progress; without them the server ends it by itself.
 *
 * It belongs to the session that began it, and no other one can end it. So there is nothing that a later process could
 * undo after a kill -9, and no undo record as of a snapshot: the lease ends when its time-out has passed.
 */
export class NfcLease {
  readonly devices: readonly NfcDevice[];
  readonly #session: Session;
  readonly #self: MoRef;
  readonly #log: Logger;
  readonly #percent: () => number;
  readonly #ended = new AbortController();
  readonly #renewing: Promise<void>;
  readonly #lost = new AbortController();

  private constructor(
    session: Session,
    self: MoRef,
    info: XmlElement,
    { percent, log }: { percent: () => number; log: Logger },
  ) {
    this.#session = session;
    this.#self = self;
    this.#log = log;
    this.#percent = percent;
    this.devices = childrenNamed(info, 'deviceUrl')
      .filter((device) => textOf(device, 'disk') !== 'false')
      .map((device) => ({
        key: textOf(device, 'key') ?? '',
        slot: slotOfKey(textOf(device, 'key') ?? ''),
        url: textOf(device, 'url') ?? '',
        thumbprint: textOf(device, 'sslThumbprint') ?? '',
      }));
    this.#renewing = this.#renew(intervalOf(textOf(info, 'leaseTimeout')));
  }

  /**
   * Begins an export of a VM that is off, and waits until its host is ready. `percent` is what the server is told of
   * its progress. Errors: `remote.locked`, `remote.timeout`, `VsphereFault`, those of the session.
   */
  static async begin(
    session: Session,
    vm: MoRef,
    { signal, ...reporting }: { percent: () => number; log: Logger; signal: AbortSignal },
  ): Promise<NfcLease> {
    const self = await exportVm(session, vm, reporting.log, signal);
    try {
      return new NfcLease(session, self, await ready(session, self, signal), reporting);
    } catch (error) {
      await call(session, 'HttpNfcLeaseAbort', self).catch(() => undefined);
      throw error;
    }
  }

  /** Aborted when the server has ended it: its addresses lead nowhere any more, whatever a stream still promises. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /** Returns how many bytes the host says that it has sent of a disk; null if it does not tell. */
  async sentBytes(device: NfcDevice, signal: AbortSignal): Promise<number | null> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        const entries = await this.#session.call('HttpNfcLeaseGetManifest', this.#self, markup``, signal);
        const entry = entries.find((one) => textOf(one, 'key') === device.key);
        const size = Number(textOf(entry, 'size') ?? Number.NaN);
        return Number.isSafeInteger(size) && size > 0 ? size : null;
      } catch (err) {
        signal.throwIfAborted();
        if (err instanceof VsphereFault) {
          this.#log.debug({ err }, 'the host has no manifest of the export');
          return null;
        }
        const isPassing = err instanceof Hyper2kvmError && err.retryable;
        if (!isPassing || attempt >= MANIFEST_ATTEMPTS) throw err;
        const wait = MANIFEST_WAIT_MILLISECONDS * 2 ** (attempt - 1);
        await sleep(wait, undefined, { signal }).catch(() => signal.throwIfAborted());
      }
    }
  }

  /** Ends it after all disks have been read. */
  complete(): Promise<void> {
    return this.#end('HttpNfcLeaseComplete');
  }

  /** Ends it early, also after an abort. */
  abort(): Promise<void> {
    return this.#end('HttpNfcLeaseAbort');
  }

  async #end(method: string): Promise<void> {
    this.#ended.abort();
    await this.#renewing;
    if (this.#lost.signal.aborted) return;
    await call(this.#session, method, this.#self).catch((err: unknown) =>
      this.#log.warn({ err }, 'the export cannot be ended, its lease expires on the server'),
    );
  }

  /** Never rejects: a report that fails is repeated in time, unless the lease is gone. */
  async #renew(seconds: number): Promise<void> {
    const { signal } = this.#ended;
    while (!signal.aborted) {
      await sleep(seconds * 1000, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      const percent = markup`<percent>${this.#percent()}</percent>`;
      await this.#session.call('HttpNfcLeaseProgress', this.#self, percent, signal).catch((err: unknown) => {
        if (signal.aborted) return;
        this.#log.warn({ err }, 'the lease of the export was not renewed');
        if (err instanceof VsphereFault && LOST.has(err.fault))
          this.#lost.abort(interrupted('the server has ended the export'));
      });
      if (this.#lost.signal.aborted) return;
    }
  }
}

const LOST: ReadonlySet<string> = new Set(['ManagedObjectNotFound', 'InvalidState', 'Timedout']);

async function call(session: Session, method: string, lease: MoRef): Promise<void> {
  await session.call(method, lease, markup``, AbortSignal.timeout(END_MILLISECONDS));
}

/** Each quarter of its time-out, and each minute at least: three reports may fail. */
function intervalOf(timeout: string | null): number {
  const seconds = Number(timeout ?? Number.NaN);
  return seconds > 0 ? Math.min(seconds / 4, LONGEST_INTERVAL_SECONDS) : LONGEST_INTERVAL_SECONDS;
}

/** Waits for another task or export of the VM to end: it may be one that this program has left when it was killed. */
async function exportVm(session: Session, vm: MoRef, log: Logger, signal: AbortSignal): Promise<MoRef> {
  const until = performance.now() + LOCKED_MILLISECONDS;
  for (let wait = 1_000; ; wait = Math.min(wait * 2, 15_000)) {
    try {
      const [returned] = await session.call('ExportVm', vm, markup``, signal);
      const lease = referenceOf(returned);
      if (lease === null) throw interrupted('the server has begun no export');
      return lease;
    } catch (error) {
      const isLocked = error instanceof Hyper2kvmError && error.code === 'remote.locked';
      if (!isLocked || performance.now() > until) throw error;
      log.info({ reason: error.message }, 'waiting for another task or export of the VM to end');
      await sleep(wait, undefined, { signal });
    }
  }
}

async function ready(session: Session, lease: MoRef, signal: AbortSignal): Promise<XmlElement> {
  const until = performance.now() + READY_MILLISECONDS;
  for (let wait = FIRST_POLL_MILLISECONDS; ; wait = Math.min(wait * 2, SLOWEST_POLL_MILLISECONDS)) {
    const [found] = await retrieve(session, [lease], ['state', 'info', 'error'], signal);
    const state = found?.properties.get('state')?.text;
    const info = found?.properties.get('info');
    if (state === 'ready' && info !== undefined) return info;
    const error = found?.properties.get('error');
    if (error !== undefined && error.children.length > 0) throw faultOfLocalized(error, 'the export');
    if (state !== 'initializing' && state !== 'ready')
      throw interrupted(`the server has ended the export before it began (${state ?? 'gone'})`);
    if (performance.now() > until)
      throw new Hyper2kvmError('remote.timeout', 'the export was not ready within 10 minutes', {
        retryable: true,
      });
    await sleep(wait, undefined, { signal });
  }
}
