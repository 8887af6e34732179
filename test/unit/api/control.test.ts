import { spawnSync } from 'node:child_process';
import { appendFileSync, existsSync, readdirSync, readlinkSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ControlClient } from '../../../src/api/client.js';
import { jobLogLines } from '../../../src/api/job-log.js';
import type { Route } from '../../../src/api/routes.js';
import { ControlServer } from '../../../src/api/server.js';
import { Hyper2kvmError } from '../../../src/errors/error.js';
import { silent } from '../engine/fakes.js';
import { scratchDirectory } from '../queue/scratch.js';

async function serve(routes: Route[], socket = join(scratchDirectory(), 's')) {
  const server = new ControlServer(socket, routes, silent);
  await server.start();
  onTestFinished(() => server.stop());
  return { socket, client: new ControlClient(socket) };
}

describe('control socket', () => {
  it('carries requests and answers, with names of any characters', async () => {
    const asked: unknown[] = [];
    const { client, socket } = await serve([
      {
        method: 'POST',
        path: /^\/v1\/jobs\/([^/]+)\/retry$/,
        handle: ({ id, body }) => {
          asked.push(id, body);
          return { job: 'x' };
        },
      },
    ]);
    expect(await client.retry('a/b ü%', { from: 'fix', set: { 'fix.mode': 'none' } })).toEqual({ job: 'x' });
    expect(asked).toEqual(['a/b ü%', { from: 'fix', set: { 'fix.mode': 'none' } }]);
    expect(statSync(socket).mode & 0o777).toBe(0o660);
  });

  it('carries the daemon’s errors with code and advice', async () => {
    const { client } = await serve([
      {
        method: 'GET',
        path: /^\/v1\/jobs\/([^/]+)$/,
        handle: ({ id }) => {
          throw new Hyper2kvmError('api.no-job', `there is no job ${id}`, { advice: 'list' });
        },
      },
    ]);
    await expect(client.job('x')).rejects.toMatchObject({ code: 'api.no-job', advice: 'list' });
    await expect(client.status()).rejects.toMatchObject({ code: 'api.no-route' });
  });

  it('says that no daemon answers, and what to do', async () => {
    const client = new ControlClient(join(scratchDirectory(), 'none'));
    await expect(client.status()).rejects.toMatchObject({ code: 'api.unreachable' });
  });

  it('takes over a stale socket, but not one that somebody listens on', async () => {
    const socket = join(scratchDirectory(), 's');
    const stale = createServer();
    await new Promise<void>((resolve) => void stale.listen(socket, resolve));
    await expect(new ControlServer(socket, [], silent).start()).rejects.toMatchObject({
      code: 'daemon.already-running',
    });
    // Closing unlinks the file; a killed daemon leaves it.
    await new Promise((resolve) => stale.close(resolve));
    const listenAndDie = `require('net').createServer().listen(${JSON.stringify(socket)}, () => process.kill(process.pid, 'SIGKILL'))`;
    const { status } = spawnSync(process.execPath, ['-e', listenAndDie]);
    expect(status).toBeNull();
    expect(existsSync(socket)).toBe(true);
    await serve([], socket);
  });

  it('refuses a path that no unix socket can have', async () => {
    await expect(new ControlServer(`/tmp/${'x'.repeat(120)}`, [], silent).start()).rejects.toMatchObject({
      code: 'api.socket',
    });
  });
});

describe('logs over the socket', () => {
  it('follow a file from its beginning until the job is done, cut at no character', async () => {
    const file = join(scratchDirectory(), 'job.log');
    writeFileSync(file, '{"msg":"erste Zeile ü"}\n');
    let isDone = false;
    const { client } = await serve([
      {
        method: 'GET',
        path: /^\/v1\/jobs\/([^/]+)\/logs$/,
        handle: ({ query, signal }) =>
          jobLogLines({
            locate: async () => [file],
            isDone: async () => isDone,
            follow: query.get('follow') === '1',
            signal,
          }),
      },
    ]);
    const seen: string[] = [];
    for await (const line of client.logs('j', { follow: true })) {
      seen.push(JSON.parse(line).msg);
      if (seen.length === 1) appendFileSync(file, `{"msg":"${'ü'.repeat(50_000)}"}\n{"msg":"last"}\n`);
      else isDone = true;
    }
    expect(seen).toEqual(['erste Zeile ü', 'ü'.repeat(50_000), 'last']);
    const once: string[] = [];
    for await (const line of client.logs('j')) once.push(line);
    expect(once).toHaveLength(3);
  });

  it('say when the log is gone', async () => {
    const { client } = await serve([
      {
        method: 'GET',
        path: /logs$/,
        handle: ({ signal }) =>
          jobLogLines({ locate: async () => ['/nowhere'], isDone: async () => true, follow: false, signal }),
      },
    ]);
    await expect(client.logs('j').next()).rejects.toMatchObject({ code: 'api.no-log' });
  });
});

describe('logs of clients that leave', () => {
  const openFiles = (file: string) =>
    readdirSync('/proc/self/fd').filter((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`) === file;
      } catch {
        // Closed since the listing.
        return false;
      }
    }).length;

  it.each([false, true])('keep no file open (follow: %s)', async (follow) => {
    const file = join(scratchDirectory(), 'job.log');
    // More than a socket takes: the answer waits for its reader when that one leaves.
    writeFileSync(file, `${'x'.repeat(1023)}\n`.repeat(4 * 1024));
    const { client } = await serve([
      {
        method: 'GET',
        path: /^\/v1\/jobs\/([^/]+)\/logs$/,
        handle: ({ signal }) =>
          jobLogLines({ locate: async () => [file], isDone: async () => false, follow, signal }),
      },
    ]);
    let mostOpen = 0;
    for (let clients = 0; clients < 5; clients++) {
      const leave = new AbortController();
      for await (const _line of client.logs('j1', { follow, signal: leave.signal })) {
        mostOpen = Math.max(mostOpen, openFiles(file));
        break;
      }
      leave.abort();
    }
    expect(mostOpen).toBeGreaterThan(0);
    await expect.poll(() => openFiles(file), { timeout: 5_000 }).toBe(0);
  });
});
