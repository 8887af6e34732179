import type { Connection } from '../../../config/connections.js';
import type { Reach, RemoteVm, Transport, TransportContext, TransportRequest } from './base/transport.js';

/** Opens a VM by the transport of its connection. */
export async function openRemoteVm(
  request: TransportRequest,
  connection: Connection,
  context: TransportContext,
): Promise<RemoteVm> {
  return (await transportOf(connection)).open(request, context);
}

/** Checks every host that data of a connection come from. */
export async function reachHosts(connection: Connection, context: TransportContext): Promise<Reach[]> {
  return (await transportOf(connection)).reach(context);
}

interface Bound {
  open(request: TransportRequest, context: TransportContext): Promise<RemoteVm>;
  reach(context: TransportContext): Promise<Reach[]>;
}

/** Loads a transport and its libraries, which are needed only where it is used. */
async function transportOf(connection: Connection): Promise<Bound> {
  switch (connection.type) {
    case 'http':
      return bound((await import('./http/http-transport.js')).httpTransport, connection);
    case 's3':
      return bound((await import('./s3/s3-transport.js')).s3Transport, connection);
    case 'vsphere':
      return bound((await import('./vsphere/vsphere-transport.js')).vsphereTransport, connection);
    case 'esxi-ssh':
      return bound((await import('./esxi-ssh/esxi-ssh-transport.js')).esxiSshTransport, connection);
  }
}

function bound<C extends Connection>(transport: Transport<C>, connection: C): Bound {
  return {
    open: (request, context) => transport.open(request, connection, context),
    reach: (context) => transport.reach(connection, context),
  };
}
