import type { EsxiSshConnection } from '../../../../config/connections.js';
import { reachHost } from '../base/reach.js';
import type { RemoteVm, Transport } from '../base/transport.js';
import { findVm, refuseRunning } from './find-vm.js';
import { confirmFile } from './ssh-file.js';
import { SshSession } from './ssh-session.js';
import { vmFiles } from './vm-files.js';

/** VMs of an ESXi host, whose files are read by its own programs over SSH. */
export const esxiSshTransport: Transport<EsxiSshConnection> = {
  async open({ vm: [wanted] }, connection, { signal }): Promise<RemoteVm> {
    const session = await SshSession.create(connection);
    try {
      const vm = await findVm(session, wanted!, signal);
      await refuseRunning(session, vm, signal);
      const files = await vmFiles(session, vm.path, signal);
      const [id] = vm.ids;
      return {
        transport: 'esxi-ssh',
        ...(id === undefined ? {} : { identity: { moref: id, instanceUuid: null, power: 'off' } }),
        host: session.server,
        files,
        async confirm(during) {
          await refuseRunning(session, vm, during);
          for (const file of files) await confirmFile(session, file, during);
        },
        close: () => session.close(),
      };
    } catch (error) {
      await session.close();
      throw error;
    }
  },

  async reach(connection, { signal }) {
    const url = new URL(connection.url);
    const reach = await reachHost(url, async () => {
      const session = await SshSession.create(connection);
      try {
        return (
          await session.command('vim-cmd vmsvc/getallvms >/dev/null && uname -sr', 'logging in', signal)
        )
          .toString('utf8')
          .trim();
      } finally {
        await session.close();
      }
    });
    return [reach];
  },
};
