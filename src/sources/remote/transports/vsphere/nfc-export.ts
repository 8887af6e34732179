import type { Logger } from 'pino';
import { Hyper2kvmError } from '../../../../errors/error.js';
import { printable } from '../../../../text/escape-terminal.js';
import type { Trust } from '../http/connect.js';
import { interrupted, truncated } from '../http/errors.js';
import { Exchange } from '../http/exchange.js';
import { type NfcDevice, NfcLease } from './nfc-lease.js';
import { diskStream } from './nfc-stream.js';
import type { Session } from './session.js';
import type { MoRef } from './soap-client.js';
import type { VmDisk } from './vm-facts.js';

/**
 * How long a host may send nothing, or next to nothing. While it reads zeros, of which the stream has nothing, it
 * is silent: half an hour is 350 GB of them at 200 MB/s. That the host is there at all is seen sooner: by TCP’s
 * own probes, and by the end of the lease.
 */
export const SILENT_SECONDS = 30 * 60;

interface ExportSettings {
  /** The connection's own server. */
  base: URL;
  trust: Trust;
  /** About how many bytes will be read, for the progress that the server shows. */
  expected: number;
  log: Logger;
}

/** Reads the disks of a VM that is exported, one after the other. The export begins with the first one that is read. */
export class NfcExport {
  readonly #session: Session;
  readonly #vm: MoRef;
  readonly #settings: ExportSettings;
  readonly #exchanges = new Map<string, Exchange>();
  #lease: NfcLease | null = null;
  #received = 0;

  constructor(session: Session, vm: MoRef, settings: ExportSettings) {
    this.#session = session;
    this.#vm = vm;
    this.#settings = settings;
  }

  /** Yields the stream of a disk, from its start. After a failure, the next one is read in an export of its own. */
  async *read({ slot, label, capacity }: VmDisk, during: AbortSignal): AsyncGenerator<Buffer> {
    const lease = await this.#current(during);
    const signal = AbortSignal.any([during, lease.lost]);
    let isWhole = false;
    try {
      const device = deviceOf(lease, slot, label);
      const url = addressOf(device, this.#settings.base);
      const answer = await this.#exchange(url, device).get(url, {}, [200], { signal });
      let received = 0;
      for await (const bytes of diskStream(answer, capacity!, signal)) {
        received += bytes.length;
        this.#received += bytes.length;
        yield bytes;
      }
      const sent = await lease.sentBytes(device, signal);
      if (sent !== null && received < sent)
        throw truncated(`${url.host}: ${received} of ${sent} bytes of ${printable(label, 80)} came`);
      isWhole = true;
    } finally {
      if (!isWhole) await this.#drop();
    }
  }

  /** Ends the export after everything was read. */
  async complete(): Promise<void> {
    await this.#lease?.complete();
    this.#lease = null;
  }

  /** Ends what is left. */
  async close(): Promise<void> {
    await this.#drop();
    for (const exchange of this.#exchanges.values()) exchange.close();
  }

  async #current(signal: AbortSignal): Promise<NfcLease> {
    if (this.#lease?.lost.aborted === true) await this.#drop();
    const { expected, log } = this.#settings;
    const percent = () => Math.min(99, Math.floor((100 * this.#received) / Math.max(1, expected)));
    this.#lease ??= await NfcLease.begin(this.#session, this.#vm, { percent, log, signal });
    return this.#lease;
  }

  async #drop(): Promise<void> {
    const lease = this.#lease;
    this.#lease = null;
    await lease?.abort();
  }

  /** Requests to the host of an address. Only the connection's own server gets the session. */
  #exchange({ origin, host }: URL, { thumbprint }: NfcDevice): Exchange {
    const isOwn = origin === this.#settings.base.origin;
    const key = `${origin} ${thumbprint}`;
    const exchange =
      this.#exchanges.get(key) ??
      new Exchange(new URL(origin), {
        trust: trustOf(thumbprint, this.#settings.trust, host),
        redirectHosts: [],
        secret: async () => (isOwn ? this.#session.secret() : { headers: {}, query: '' }),
        refusal: (status) =>
          status >= 400 && status < 500 && status !== 429
            ? interrupted(`${host}: the server answered ${status} to the export’s address`)
            : null,
        parallel: 1,
        idleMilliseconds: SILENT_SECONDS * 1000,
        // The path is the right to read the disk.
        describe: (url) => url.host,
      });
    this.#exchanges.set(key, exchange);
    return exchange;
  }
}

function deviceOf({ devices }: NfcLease, slot: string, label: string): NfcDevice {
  const device = devices.find((one) => one.slot === slot);
  if (device !== undefined) return device;
  throw new Hyper2kvmError('remote.unsupported-disk', `the export has no ${printable(label, 80)} (${slot})`, {
    advice: 'Attach the disk to a SCSI, SATA, NVMe or IDE controller, or export the VM as OVF and drop that.',
  });
}

/** `*` stands for the server that was asked. */
function addressOf({ url }: NfcDevice, base: URL): URL {
  const text = url.replace(/^(https?:\/\/)\*(?=[:/])/, `$1${base.hostname}`);
  const address = URL.canParse(text) ? new URL(text) : null;
  if (address?.protocol !== 'https:')
    throw new Hyper2kvmError('remote.tls', 'the export’s address is not one of https', {
      advice: 'Check the settings of the host: its disks would be sent unencrypted.',
    });
  // A host behind a forwarded port says its own.
  if (url.startsWith('https://*/')) address.port = base.port;
  return address;
}

/** The server names the certificate of the host; without that, the connection’s own check counts. */
function trustOf(thumbprint: string, trust: Trust, host: string): Trust {
  if (thumbprint === '') return trust;
  const digits = thumbprint.replaceAll(':', '').toLowerCase();
  if (/^[0-9a-f]{40}$/.test(digits)) return { ca: null, sha256: null, sha1: digits };
  if (/^[0-9a-f]{64}$/.test(digits)) return { ca: null, sha256: digits };
  throw new Hyper2kvmError('remote.tls', `the server names a thumbprint for ${host} that is none`);
}
