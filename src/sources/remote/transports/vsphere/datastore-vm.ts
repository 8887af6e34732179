import type { RemoteFile, TransportContext } from '../base/transport.js';
import type { Exchange } from '../http/exchange.js';
import { DatastoreListing } from './datastore-listing.js';
import { parseDatastorePath } from './datastore-path.js';
import { datacenterPath } from './find-vm.js';
import { folderOpener } from './folder-files.js';
import { referenceOf, retrieve } from './properties.js';
import type { DatastoreFacts } from './refuse-vm.js';
import { type Session, textOf } from './session.js';
import type { MoRef } from './soap-client.js';
import type { VmFacts } from './vm-facts.js';
import { vmFiles } from './vm-files.js';

/** A datastore, with what lists its files. */
export type Datastore = DatastoreFacts & { browser: MoRef | null };

/** Describes the files of a VM in its datastores; `listing` can tell later whether they have changed. */
export async function datastoreVm(
  session: Session,
  self: MoRef,
  vm: VmFacts,
  {
    stores,
    base,
    exchange,
    context,
  }: { stores: readonly Datastore[]; base: URL; exchange: Exchange; context: TransportContext },
): Promise<{ files: RemoteFile[]; listing: DatastoreListing }> {
  const { signal, log } = context;
  const datacenter = await datacenterPath(session, self, signal);
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
  return { files, listing };
}

/** A start and a new configuration count as another state of every file, whatever the datastore says of its time. */
function ofState(file: RemoteFile, more: readonly (string | null)[]): RemoteFile {
  const validator = [file.validator, ...more].filter((part) => part !== null).join(' ');
  return { ...file, validator: validator === '' ? null : validator };
}

/** Returns those datastores of the VM that its disks are on. */
export async function datastoresOf(
  session: Session,
  self: MoRef,
  vm: VmFacts,
  signal: AbortSignal,
): Promise<Datastore[]> {
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
