import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Hyper2kvmError } from '../../errors/error.js';
import type { RemoteFacts } from '../../model/remote.js';
import type { Chain, DiskBytes } from '../../model/storage.js';
import { canonicalJson, sha256 } from '../../text/canonical-json.js';
import { printable } from '../../text/escape-terminal.js';
import type { OpenSource, Source, SourceContext } from '../base/source.js';
import { localSource } from '../local/local-source.js';
import { type RemoteSourceSpec, type RemoteSpec, remoteSourceSpec } from './spec.js';

/** Lands a VM in `remote/vm` of the work directory: in this process, or in the unit that has the network. */
export type Land = (spec: RemoteSpec, context: SourceContext) => Promise<RemoteFacts>;

/** Of the landed files, below the work directory. */
const LANDED = 'remote/vm';

/** A VM elsewhere, which is landed and then read as if it had been dropped. */
export function remoteSource(land: Land): Source<RemoteSourceSpec> {
  return {
    type: 'remote',
    spec: remoteSourceSpec,
    // Not the server's state: a VM that was fetched once is converted from what was fetched.
    contentId: async ({ drop: _, ...spec }) => sha256(canonicalJson(spec)),
    async open({ drop, ...spec }, context) {
      refuseDisks(drop.entries);
      const remote = await land(spec, context);
      const directory = join(context.workDirectory, LANDED);
      const landed = { directory, entries: (await readdir(directory)).sort() };
      const open = await localSource.open({ drop: landed }, context);
      return { ...inWork(open), remote };
    },
  };
}

/** With disks beside the job.toml it is unclear which of both are the VM. */
function refuseDisks(entries: readonly string[]): void {
  const other = entries.find((name) => !name.endsWith('.job.toml'));
  if (other === undefined) return;
  throw new Hyper2kvmError(
    'remote.not-allowed',
    `the job.toml names a connection, and ${printable(other)} is beside it`,
    {
      advice:
        'Drop the job.toml without disks to fetch the VM, or the disks with a job.toml without `connection`.',
    },
  );
}

/** What the local source calls the drop is a part of the work directory. */
function inWork(open: OpenSource): OpenSource {
  const move = (bytes: DiskBytes): DiskBytes =>
    bytes.place === 'drop' ? { ...bytes, place: 'work', path: `${LANDED}/${bytes.path}` } : bytes;
  const moveAll = ({ layers }: Chain): Chain => ({
    layers: layers.map((layer) => ({
      ...layer,
      bytes: move(layer.bytes),
      extents: layer.extents.map((extent) => ({ ...extent, bytes: move(extent.bytes) })),
    })),
  });
  return { ...open, disks: open.disks.map((disk) => ({ ...disk, chain: moveAll(disk.chain) })) };
}
