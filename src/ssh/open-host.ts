import type { GuestAccess } from '../access/guest-access.js';
import type { GuestReader } from '../access/guest-reader.js';
import { applyChanges, restoreBackup } from './apply-changes.js';
import { connect } from './connection.js';
import { type HostFacts, hostFacts } from './host-facts.js';
import { sshPort } from './port.js';
import { requirePrograms } from './programs.js';
import { sshReader } from './reader.js';
import { type RemoteShell, remoteShell } from './shell.js';
import { type StagingWriter, stagingWriter } from './staging-writer.js';
import type { SshTarget } from './target.js';

/** Access to a guest that runs, until `close`. */
export interface HostAccess extends GuestAccess {
  readonly reader: GuestReader;
  /** What is written is only collected; `sync` applies it to the host, all or nothing. */
  writer(options: { selinux: boolean }): StagingWriter;
  readonly facts: HostFacts;
  /** Puts back what a `sync` changed, and returns the paths. */
  rollback(backup: string): Promise<string[]>;
}

/** Opens a running guest by one SSH connection. Rejects like `connect`, and with `live.unsupported`. */
export async function openHost(
  target: SshTarget,
  { workDirectory, signal, backup }: { workDirectory: string; signal: AbortSignal; backup: Backup },
): Promise<HostAccess> {
  const connection = await connect(target, signal);
  const shell = remoteShell(connection);
  const facts = await ask(shell).catch(async (error: unknown) => {
    await connection.close();
    throw error;
  });
  const reader = sshReader(shell, { facts, workDirectory });
  return {
    reader,
    port: sshPort(shell, { facts, workDirectory }),
    writer: () => stagingWriter(shell, reader, (changes) => applyChanges(shell, changes, backup)),
    capabilities: { offline: false, layers: null, trim: null },
    facts,
    rollback: (id) => restoreBackup(shell, { id }),
    traffic: async () => connection.traffic(),
    close: connection.close,
    kill: connection.close,
  };
}

async function ask(shell: RemoteShell): Promise<HostFacts> {
  await requirePrograms(shell);
  return hostFacts(shell);
}

/** The backup that `sync` makes: its name on the host, and the digest of the plan, for its manifest. */
interface Backup {
  id: string;
  digest: string;
}
