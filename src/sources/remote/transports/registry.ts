import type { Connection } from '../../../config/connections.js';
import { Hyper2kvmError } from '../../../errors/error.js';
import type { UndoRecord } from '../../../model/undo.js';
import { printable } from '../../../text/escape-terminal.js';
import type { Reach, RemoteVm, Transport, TransportContext, TransportRequest } from './base/transport.js';
import type { Undoing } from './base/undoing.js';

/** Opens a VM by the transport of its connection. */
export async function openRemoteVm(
  request: TransportRequest,
  connection: Connection,
  context: TransportContext,
  undoing: Undoing,
): Promise<RemoteVm> {
  return (await transportOf(connection)).open(request, context, undoing);
}

/** Undoes what a transport has made. */
export async function undoElsewhere(
  record: UndoRecord,
  connection: Connection,
  context: TransportContext,
): Promise<void> {
  return (await transportOf(connection)).undo(record, context);
}

/** Checks every host that data of a connection come from. */
export async function reachHosts(connection: Connection, context: TransportContext): Promise<Reach[]> {
  return (await transportOf(connection)).reach(context);
}

interface Bound {
  open(request: TransportRequest, context: TransportContext, undoing: Undoing): Promise<RemoteVm>;
  undo(record: UndoRecord, context: TransportContext): Promise<void>;
  reach(context: TransportContext): Promise<Reach[]>;
}

/** Loads a transport and its libraries, which are needed only where it is used. */
async function transportOf(connection: Connection): Promise<Bound> {
  switch (connection.type) {
    case 'http':
      return bound((await import('./http/http-transport.js')).httpTransport, connection);
    case 's3':
      return bound((await import('./s3/s3-transport.js')).s3Transport, connection);
    case 'azure':
      return bound((await import('./azure/azure-transport.js')).azureTransport, connection);
    case 'vsphere':
      return bound((await import('./vsphere/vsphere-transport.js')).vsphereTransport, connection);
    case 'esxi-ssh':
      return bound((await import('./esxi-ssh/esxi-ssh-transport.js')).esxiSshTransport, connection);
  }
}

function bound<C extends Connection>(transport: Transport<C>, connection: C): Bound {
  return {
    open: (request, context, undoing) => transport.open(request, connection, context, undoing),
    async undo(record, context) {
      if (transport.undo !== undefined) return transport.undo(record, connection, context);
      throw new Hyper2kvmError(
        'remote.connection-unknown',
        `${connection.name} is a connection of the type ${connection.type} now, which has no ${printable(record.what)}`,
      );
    },
    reach: (context) => transport.reach(connection, context),
  };
}
