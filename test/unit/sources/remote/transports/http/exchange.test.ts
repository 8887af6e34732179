import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { contentOf } from '../../../../../../src/sources/remote/transports/http/content.js';
import { Exchange } from '../../../../../../src/sources/remote/transports/http/exchange.js';
import { FileServer } from '../../file-server.js';

let server: FileServer;
let exchange: Exchange;
beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  server = await FileServer.start();
  exchange = new Exchange(new URL(server.url), {
    trust: { ca: null, sha256: null },
    redirectHosts: [],
    secret: async () => ({ headers: {}, query: '' }),
    parallel: 1,
  });
});
afterEach(async () => {
  vi.useRealTimers();
  exchange.close();
  await server.stop();
});

const { signal } = new AbortController();
const get = () => exchange.get(new URL('/a', server.url), {}, [200], { signal });
const settle = async (isDone: () => boolean) => {
  while (!isDone()) await new Promise((resolve) => setImmediate(resolve));
};

describe('an answer that dribbles', () => {
  it('is given up while its head has not come', async () => {
    server.behaviour = {
      instead(_request, response) {
        response.socket?.write('HTTP/1.1 200 OK\r\nx-slow: ');
        return true;
      },
    };
    const answer = get();
    const failed = expect(answer).rejects.toMatchObject({ code: 'remote.timeout', retryable: true });
    await settle(() => server.requests.length === 1);
    vi.advanceTimersByTime(120_000);
    await failed;
  });

  it('is given up while its body has not come', async () => {
    server.behaviour = {
      instead(_request, response) {
        response.writeHead(200, { 'content-length': 100 });
        response.write('a');
        return true;
      },
    };
    const answer = await get();
    // The head came in time: its own limit is gone.
    vi.advanceTimersByTime(120_000);
    const failed = expect(contentOf(answer, 1_000, signal)).rejects.toMatchObject({ code: 'remote.timeout' });
    vi.advanceTimersByTime(300_000);
    await failed;
  });

  it('is read no further where it only explains a refusal', async () => {
    let isSent = false;
    server.behaviour = {
      instead(_request, response) {
        response.writeHead(403, { 'content-length': 100 });
        response.write('a', () => {
          isSent = true;
        });
        return true;
      },
    };
    const failed = expect(get()).rejects.toMatchObject({ code: 'remote.permission' });
    await settle(() => isSent);
    // The client reads the head in one of the next turns, and begins to wait for the rest then.
    const timer = setInterval(() => vi.advanceTimersByTime(120_000), 5);
    await failed;
    clearInterval(timer);
  });
});
