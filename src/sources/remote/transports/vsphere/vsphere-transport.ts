import { setTimeout as sleep } from 'node:timers/promises';
import type { VsphereConnection } from '../../../../config/connections.js';
import { Hyper2kvmError } from '../../../../errors/error.js';
import { printable } from '../../../../text/escape-terminal.js';
import { formatCount } from '../../../../text/format.js';
import { markup } from '../../../../text/markup.js';
import { reachHost } from '../base/reach.js';
import type {
  Reach,
  RemoteFile,
  RemoteVm,
  Transport,
  TransportContext,
  TransportRequest,
} from '../base/transport.js';
import { Exchange } from '../http/exchange.js';
import { trustOf } from '../http/trust.js';
import { DatastoreListing } from './datastore-listing.js';
import { parseDatastorePath } from './datastore-path.js';
import { datacenterPath, findVm } from './find-vm.js';
import { folderOpener, folderRefusal } from './folder-files.js';
import { referenceOf, retrieve, retrieveVms } from './properties.js';
import { type DatastoreFacts, refuseDatastore, refuseVm } from './refuse-vm.js';
import { Session, textOf } from './session.js';
import { type MoRef, SoapClient } from './soap-client.js';
import { factsOf, VM_PATHS, type VmFacts } from './vm-facts.js';
import { vmFiles } from './vm-files.js';

const SHUTDOWN_MILLISECONDS = 10 * 60_000;
const POLL_MILLISECONDS = 2_000;

/** A VM of a vCenter or an ESXi host, whose files are read from its datastores over HTTPS. */
export const vsphereTransport: Transport<VsphereConnection> = {
  async open(request, connection, context): Promise<RemoteVm> {
    const { exchange, session } = await connect(connection, context);
    const close = async () => {
      await session.logout();
      exchange.close();
    };
    try {
      await session.login(context.signal);
      return { ...(await openVm(request, session, exchange, connection, context)), close };
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
  { vm: [wanted = ''], power }: TransportRequest,
  session: Session,
  exchange: Exchange,
  connection: VsphereConnection,
  context: TransportContext,
): Promise<Omit<RemoteVm, 'close'>> {
  const { signal, log } = context;
  const self = await findVm(session, wanted, signal);
  if (power === 'shutdown') await shutDown(session, self, context);
  const vm = await read(session, self, signal);
  refuseVm(vm);
  const stores = await datastoresOf(session, self, vm, signal);
  stores.forEach(refuseDatastore);
  const datacenter = await datacenterPath(session, self, signal);
  const base = new URL('/', connection.url);
  const open = folderOpener(base, datacenter, { isVcenter: session.isVcenter, exchange, context });
  const browsers = new Map(
    stores.flatMap(({ name, browser }) => (browser === null ? [] : [[name, browser]])),
  );
  const listing = new DatastoreListing(session, browsers, log);
  const files = await vmFiles(
    vm,
    async (path) => {
      const file = await open(path);
      const listed = file.etag === null ? await listing.stateOf(path, signal) : null;
      return ofState(file, [listed, vm.changeVersion]);
    },
    signal,
  );
  log.info({ vm: vm.name, moref: self.id, server: session.product, disks: vm.disks.length }, 'VM found');
  return {
    transport: 'datastore',
    identity: { moref: self.id, instanceUuid: vm.instanceUuid, power },
    host: base.host,
    files,
    async confirm(during) {
      confirm(vm, await read(session, self, during));
      await listing.confirm(during);
    },
  };
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

/** A start and a new configuration count as another state of every file, whatever the datastore says of its time. */
function ofState(file: RemoteFile, more: readonly (string | null)[]): RemoteFile {
  const validator = [file.validator, ...more].filter((part) => part !== null).join(' ');
  return { ...file, validator: validator === '' ? null : validator };
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

async function shutDown(session: Session, self: MoRef, { signal, log }: TransportContext): Promise<void> {
  const vm = await read(session, self, signal);
  if (vm.power !== 'poweredOn') return;
  // A VM that cannot be fetched is not stopped for it.
  refuseVm({ ...vm, power: 'poweredOff' });
  (await datastoresOf(session, self, vm, signal)).forEach(refuseDatastore);
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

/** Returns those datastores of the VM that its disks are on. */
async function datastoresOf(
  session: Session,
  self: MoRef,
  vm: VmFacts,
  signal: AbortSignal,
): Promise<(DatastoreFacts & { browser: MoRef | null })[]> {
  const used = new Set(
    vm.disks.flatMap(({ chain }) => chain.map((path) => parseDatastorePath(path).datastore)),
  );
  const [content] = await retrieve(session, [self], ['datastore'], signal);
  const references = (content?.properties.get('datastore')?.children ?? []).map(referenceOf);
  const known = references.filter((one) => one !== null);
  const stores = (await retrieve(session, known, ['summary', 'browser'], signal)).map(({ properties }) => {
    const summary = properties.get('summary');
    return {
      name: textOf(summary, 'name') ?? '',
      type: textOf(summary, 'type') ?? '',
      isAccessible: textOf(summary, 'accessible') !== 'false',
      browser: referenceOf(properties.get('browser')),
    };
  });
  return stores.filter(({ name }) => used.has(name));
}
