import { setTimeout as sleep } from 'node:timers/promises';
import type { VsphereConnection } from '../../../../config/connections.js';
import { Hyper2kvmError } from '../../../../errors/error.js';
import { printable } from '../../../../text/escape-terminal.js';
import { formatCount } from '../../../../text/format.js';
import { markup } from '../../../../text/markup.js';
import { reachHost } from '../base/reach.js';
import type { Reach, RemoteVm, Transport, TransportContext, TransportRequest } from '../base/transport.js';
import { Exchange } from '../http/exchange.js';
import { trustOf } from '../http/trust.js';
import { type Datastore, datastoresOf, datastoreVm } from './datastore-vm.js';
import { findVm } from './find-vm.js';
import { folderRefusal } from './folder-files.js';
import { exportedVm } from './nfc-vm.js';
import { retrieve, retrieveVms } from './properties.js';
import { isObjectStore, refuseDatastore, refuseExport, refuseVm } from './refuse-vm.js';
import { Session } from './session.js';
import { type MoRef, SoapClient } from './soap-client.js';
import { factsOf, VM_PATHS, type VmFacts } from './vm-facts.js';

const SHUTDOWN_MILLISECONDS = 10 * 60_000;
const POLL_MILLISECONDS = 2_000;

/** A VM of a vCenter or an ESXi host: the files of its datastores, or an export of its disks, over HTTPS. */
export const vsphereTransport: Transport<VsphereConnection> = {
  async open(request, connection, context): Promise<RemoteVm> {
    const { exchange, session } = await connect(connection, context);
    const close = async () => {
      await session.logout();
      exchange.close();
    };
    try {
      await session.login(context.signal);
      const vm = await openVm(request, session, exchange, connection, context);
      return { ...vm, close: (outcome) => vm.close(outcome).finally(close) };
    } catch (error) {
      await close();
      throw error;
    }
  },
  async reach(connection, context): Promise<Reach[]> {
    const { exchange, session } = await connect(connection, context);
    const { signal } = context;
    try {
      return [
        await reachHost(new URL(connection.url), async () => {
          await session.login(signal);
          let vms = 0;
          for await (const _vm of retrieveVms(session, ['name'], signal)) vms += 1;
          return `${session.product}, ${connection.user} sees ${formatCount(vms, 'VM')}`;
        }),
      ];
    } finally {
      await session.logout();
      exchange.close();
    }
  },
};

async function connect(
  connection: VsphereConnection,
  { parallel, log }: TransportContext,
): Promise<{ exchange: Exchange; session: Session }> {
  const base = new URL('/', connection.url);
  const exchange = new Exchange(base, {
    trust: await trustOf(connection),
    redirectHosts: [],
    secret: () => session.secret(),
    renew: (refused, signal) => session.renewFor(refused, signal),
    refusal: folderRefusal,
    parallel,
  });
  const session = new Session(new SoapClient(exchange, base), connection, log);
  return { exchange, session };
}

async function openVm(
  { vm: [wanted = ''], power, transport }: TransportRequest,
  session: Session,
  exchange: Exchange,
  connection: VsphereConnection,
  context: TransportContext,
): Promise<RemoteVm> {
  const { signal, log } = context;
  const self = await findVm(session, wanted, signal);
  if (power === 'shutdown') await shutDown(session, self, transport, context);
  const vm = await read(session, self, signal);
  const { stores, way } = await fetchable(session, self, vm, transport, signal);
  const base = new URL('/', connection.url);
  log.info({ vm: vm.name, moref: self.id, server: session.product, disks: vm.disks.length, way }, 'VM found');
  const identity = { moref: self.id, instanceUuid: vm.instanceUuid, power };
  const unchanged = async (during: AbortSignal) => confirm(vm, await read(session, self, during));
  if (way === 'nfc') {
    const trust = await trustOf(connection);
    const exported = await exportedVm(session, self, vm, { base, trust, log, signal });
    return {
      transport: way,
      identity,
      // The data come from the host of the VM, of which only so many disks are read at once.
      host: `${base.host} ${vm.host ?? ''}`,
      files: exported.files,
      async confirm(during) {
        await unchanged(during);
        await exported.export.complete();
      },
      close: () => exported.export.close(),
    };
  }
  const { files, listing } = await datastoreVm(session, self, vm, { stores, base, exchange, context });
  return {
    transport: way,
    identity,
    host: base.host,
    files,
    async confirm(during) {
      await unchanged(during);
      await listing.confirm(during);
    },
    close: async () => undefined,
  };
}

/**
 * Returns how a VM that is off is fetched: its files where all of its datastores have them, else as an export, or what
 * the job asks for. Throws for a VM that cannot be fetched that way, before any byte of it is.
 */
async function fetchable(
  session: Session,
  self: MoRef,
  vm: VmFacts,
  wanted: string,
  signal: AbortSignal,
): Promise<{ way: 'datastore' | 'nfc'; stores: Datastore[] }> {
  refuseVm(vm);
  const stores = await datastoresOf(session, self, vm, signal);
  const way = wanted === 'nfc' || (wanted === 'auto' && stores.some(isObjectStore)) ? 'nfc' : 'datastore';
  for (const store of stores) refuseDatastore(store, way);
  if (way === 'nfc') refuseExport(vm);
  return { way, stores };
}

async function read(session: Session, self: MoRef, signal: AbortSignal): Promise<VmFacts> {
  const [content] = await retrieve(session, [self], VM_PATHS, signal);
  if (content === undefined)
    throw new Hyper2kvmError(
      'remote.not-found',
      `${printable(self.id, 40)} is gone, or the user cannot see it`,
    );
  return factsOf(content);
}

function confirm(before: VmFacts, now: VmFacts): void {
  if (now.power === before.power && now.changeVersion === before.changeVersion) return;
  throw new Hyper2kvmError(
    'remote.source-changed',
    now.power === before.power
      ? `the configuration of ${printable(now.name)} was changed while it was fetched`
      : `${printable(now.name)} was started while it was fetched`,
  );
}

async function shutDown(
  session: Session,
  self: MoRef,
  transport: string,
  { signal, log }: TransportContext,
): Promise<void> {
  const vm = await read(session, self, signal);
  if (vm.power !== 'poweredOn') return;
  // A VM that cannot be fetched is not stopped for it.
  await fetchable(session, self, { ...vm, power: 'poweredOff' }, transport, signal);
  log.info({ vm: vm.name }, 'asking the guest to shut down');
  await session.call('ShutdownGuest', self, markup``, signal);
  const until = performance.now() + SHUTDOWN_MILLISECONDS;
  while ((await read(session, self, signal)).power === 'poweredOn') {
    if (performance.now() > until)
      throw new Hyper2kvmError(
        'remote.powered-on',
        `${printable(vm.name)} has not shut down within 10 minutes`,
      );
    await sleep(POLL_MILLISECONDS, undefined, { signal });
  }
}
