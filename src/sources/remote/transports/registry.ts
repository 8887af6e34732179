import type { Connection } from '../../../config/remote-table.js';
import type { RemoteVm, TransportContext, TransportRequest } from './base/transport.js';

/**
 * Opens a VM by the transport of its connection. A transport and its libraries are loaded when they are first
 * used.
 */
export async function openRemoteVm(
  request: TransportRequest,
  connection: Connection,
  context: TransportContext,
): Promise<RemoteVm> {
  switch (connection.type) {
    case 'http': {
      const { httpTransport } = await import('./http/http-transport.js');
      return httpTransport.open(request, connection, context);
    }
  }
}
