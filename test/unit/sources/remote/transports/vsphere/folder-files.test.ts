import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Exchange } from '../../../../../../src/sources/remote/transports/http/exchange.js';
import { folderOpener } from '../../../../../../src/sources/remote/transports/vsphere/folder-files.js';
import { FileServer } from '../../file-server.js';

let server: FileServer;
beforeEach(async () => {
  server = await FileServer.start();
});
afterEach(() => server.stop());

const PATH = { datastore: 'ds 1', folder: 'web01', file: 'web01.vmdk' };

function opener(isVcenter: boolean, signal = new AbortController().signal) {
  const base = new URL(server.url);
  const exchange = new Exchange(base, {
    trust: { ca: null, sha256: null },
    redirectHosts: [],
    secret: async () => ({ headers: {}, query: '' }),
    parallel: 1,
  });
  const context = { parallel: 1, signal, log: pino({ level: 'silent' }) };
  return folderOpener(base, 'DC', { isVcenter, exchange, context });
}

/** Answers with this status where the names are encoded twice. */
function twice(status: number): void {
  server.behaviour = {
    instead(request, response) {
      const isTwice = request.url!.includes('%2520');
      if (isTwice) response.writeHead(status).end();
      return isTwice;
    },
  };
}

describe('folderOpener', () => {
  it('asks a vCenter once more with names that are encoded twice, and remembers that', async () => {
    server.behaviour = {
      instead(request, response) {
        const isOnce = !request.url!.includes('%2520');
        if (isOnce) response.writeHead(404).end();
        return isOnce;
      },
    };
    server.serve('/folder/web01/web01.vmdk', Buffer.alloc(10));
    const open = opener(true);
    expect(await open(PATH)).toMatchObject({ name: 'web01.vmdk', size: 10 });
    await open(PATH);
    expect(server.requests).toHaveLength(3);
  });

  it.each([
    [404, 'remote.not-found', false],
    [401, 'remote.not-found', false],
    [503, 'remote.busy', true],
  ])(
    'knows of a file that it is missing only after both were answered: %d',
    async (status, code, retryable) => {
      twice(status);
      await expect(opener(true)(PATH)).rejects.toMatchObject({ code, retryable });
    },
  );

  it('does not call a file missing when it was told to end', async () => {
    const abort = new AbortController();
    server.behaviour = {
      instead(request) {
        const isTwice = request.url!.includes('%2520');
        if (isTwice) abort.abort(new Error('enough'));
        return isTwice;
      },
    };
    await expect(opener(true, abort.signal)(PATH)).rejects.toThrow('enough');
  });
});
