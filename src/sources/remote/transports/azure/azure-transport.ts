import type { AzureConnection } from '../../../../config/connections.js';
import { Hyper2kvmError } from '../../../../errors/error.js';
import { printable } from '../../../../text/escape-terminal.js';
import { memoryFile } from '../base/memory-file.js';
import { reachHost } from '../base/reach.js';
import type { RemoteFile, RemoteVm, Transport, TransportContext } from '../base/transport.js';
import { Exchange } from '../http/exchange.js';
import { openHttpFile } from '../http/http-file.js';
import { trustOf } from '../http/trust.js';
import { ArmClient } from './arm-client.js';
import { describeVm } from './describe.js';
import type { DiskAccess } from './disk-access.js';
import { Exports, snapshotId, undoRecord, type Wanted } from './exports.js';
import type { AzureDisk } from './facts.js';
import { type Found, find } from './find.js';
import { type Token, tokenOf } from './token.js';

const SUBSCRIPTION_VERSION = '2022-12-01';

/** A VM of Azure, one of its disks, or a snapshot: read through a URL that Azure gives for a day. */
export const azureTransport: Transport<AzureConnection> = {
  async open(request, connection, context, undoing): Promise<RemoteVm> {
    const { arm, exchange } = await connect(connection, context);
    const exports = new Exports(arm, connection.name, undoing, context.log);
    const blobs: Exchange[] = [];
    const close = async (outcome: 'whole' | 'broken' | 'failed') => {
      await exports.undo(outcome === 'broken');
      for (const one of [exchange, ...blobs]) one.close();
    };
    try {
      const found = await find(request, connection, arm, context.signal);
      const wanted = found.disks.map(({ disk, isSnapshot }, index): Wanted => {
        const made = snapshotId(disk, undoing.job, index);
        if (!isSnapshot && (exports.isKnown('snapshot', made) || !found.isAtRest))
          return { id: made, snapshotOf: disk };
        refuseHeld(disk, exports);
        return { id: disk.id, snapshotOf: null };
      });
      const accesses = await exports.open(wanted, context.signal);
      const files: RemoteFile[] = [];
      for (const [index, access] of accesses.entries()) {
        const blob = await blobExchange(access, connection, context);
        blobs.push(blob);
        files.push(await openHttpFile(found.disks[index]!.file, access.address, blob, context));
      }
      return {
        transport: 'azure',
        identity: {
          moref: found.id.id,
          instanceUuid: found.vm?.properties.vmId ?? null,
          power: found.isAtRest ? 'off' : 'snapshot',
        },
        host: accesses[0]!.address.host,
        files: [...(await description(found, files, arm, context)), ...files],
        ...(exports.pointInTime === null ? {} : { pointInTime: exports.pointInTime }),
        close,
      };
    } catch (error) {
      const isFinal = !context.signal.aborted && error instanceof Hyper2kvmError && !error.retryable;
      await close(undoing.isKept && !isFinal ? 'broken' : 'failed');
      throw error;
    }
  },

  async undo(record, connection, context) {
    const { arm, exchange } = await connect(connection, context);
    try {
      await undoRecord(arm, record, context.signal);
    } finally {
      exchange.close();
    }
  },

  async reach(connection, context) {
    const { arm, exchange, token } = await connect(connection, context);
    const { signal } = context;
    try {
      const login = await reachHost(new URL(connection.login_url), async () => {
        await token(signal);
        return 'gives a token';
      });
      const manager = await reachHost(new URL(connection.url), async () => {
        const path = `/subscriptions/${connection.subscription}`;
        await arm.get(path, signal, { version: SUBSCRIPTION_VERSION });
        return `the subscription ${connection.subscription} can be read`;
      });
      // Without a secret the token is from this host, or from a program.
      return connection.secret === '' ? [manager] : [login, manager];
    } finally {
      exchange.close();
    }
  },
};

async function connect(
  connection: AzureConnection,
  { parallel }: TransportContext,
): Promise<{ arm: ArmClient; exchange: Exchange; token: Token }> {
  const base = new URL(connection.url);
  const exchange = new Exchange(base, {
    trust: await trustOf(connection),
    redirectHosts: [],
    secret: async () => ({ headers: {}, query: '' }),
    parallel,
  });
  const token = tokenOf(connection, exchange);
  return { arm: new ArmClient(base, exchange, token), exchange, token };
}

async function blobExchange(
  access: DiskAccess,
  connection: AzureConnection,
  { parallel, signal }: TransportContext,
): Promise<Exchange> {
  return new Exchange(access.address, {
    trust: await trustOf(connection),
    redirectHosts: [],
    secret: () => access.secret(signal),
    renew: (refused, during) => access.renewFor(refused, during),
    // An access that has ended or was replaced.
    refusal: (status, origin) =>
      status === 403
        ? new Hyper2kvmError('remote.auth', `${origin}: the access to the disk is not accepted (403)`)
        : null,
    parallel,
  });
}

/** Beginning an access would fail, or end that of somebody else. */
function refuseHeld({ id, name, properties }: AzureDisk, exports: Exports): void {
  // `ActiveSAS`, `ActiveSASFrozen`, and `ActiveUpload`, which writes.
  if (properties.diskState?.startsWith('active') !== true || exports.isKnown('access', id)) return;
  throw new Hyper2kvmError(
    'remote.locked',
    `${printable(name)} is being exported or uploaded by somebody else`,
    {
      advice:
        'Wait until that has ended, or end it: `az disk revoke-access --ids ID`. Then `hyper2kvm retry` the job.',
      retryable: true,
    },
  );
}

async function description(
  found: Found,
  files: readonly RemoteFile[],
  arm: ArmClient,
  context: TransportContext,
): Promise<RemoteFile[]> {
  const { vm, disks, id } = found;
  if (vm === null) return [];
  const text = await describeVm(vm, disks, arm, {
    group: id.group,
    name: id.name,
    signal: context.signal,
    log: context.log,
  });
  // Of the same state as the disks, or it alone would count as a file of an earlier one.
  const state = files.map(({ validator }) => validator).join(' ');
  return [memoryFile(`${id.name}.vmx`, Buffer.from(text), id.id, state)];
}
