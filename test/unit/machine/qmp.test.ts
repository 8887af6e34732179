import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { QmpClient } from '../../../src/machine/qmp.js';

const GREETING = '{"QMP": {"version": {"qemu": {"major": 7}}, "capabilities": ["oob"]}}\r\n';

let directory: string;
let path: string;
let server: Server | undefined;
const sockets: Socket[] = [];
const clients: QmpClient[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'qmp-'));
  path = join(directory, 'qmp.sock');
});

afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  for (const socket of sockets.splice(0)) socket.destroy();
  await new Promise<void>((resolve) => (server ? server.close(() => resolve()) : resolve()));
  server = undefined;
  await rm(directory, { recursive: true });
});

interface Command {
  execute: string;
  arguments: Record<string, unknown>;
  id: number;
}

/** A monitor that greets and hands each command to `answer`, which returns the raw text to send. */
function monitor(answer: (command: Command) => string | undefined, greeting = GREETING): Promise<void> {
  return new Promise((resolve) => {
    server = createServer((socket) => {
      sockets.push(socket);
      socket.on('error', () => socket.destroy());
      socket.write(greeting);
      let text = '';
      socket.on('data', (chunk) => {
        text += chunk.toString();
        const lines = text.split('\n');
        text = lines.pop() ?? '';
        for (const line of lines) {
          const command = JSON.parse(line) as Command;
          const reply =
            command.execute === 'qmp_capabilities'
              ? `{"return": {}, "id": ${command.id}}\n`
              : answer(command);
          if (reply !== undefined) socket.write(reply);
        }
      });
    }).listen(path, resolve);
  });
}

async function connect(timeoutSeconds = 5): Promise<QmpClient> {
  const client = await QmpClient.connect(path, { timeoutSeconds });
  clients.push(client);
  return client;
}

describe('QmpClient', () => {
  it('matches replies to commands by id, whatever their order', async () => {
    const held: Command[] = [];
    await monitor((command) => {
      held.push(command);
      if (held.length < 2) return undefined;
      return held
        .reverse()
        .map(({ id, execute }) => `${JSON.stringify({ return: { was: execute }, id })}\r\n`)
        .join('');
    });
    const client = await connect();
    const replies = await Promise.all([client.execute('query-status'), client.execute('query-block')]);
    expect(replies).toEqual([{ was: 'query-status' }, { was: 'query-block' }]);
  });

  it('sends the arguments', async () => {
    await monitor(({ id, arguments: args }) => `${JSON.stringify({ return: args, id })}\n`);
    const client = await connect();
    expect(await client.execute('screendump', { filename: '/x.png', format: 'png' })).toEqual({
      filename: '/x.png',
      format: 'png',
    });
  });

  it('waits for a socket that does not exist yet', async () => {
    const connecting = connect();
    await new Promise((resolve) => setTimeout(resolve, 120));
    await monitor(({ id }) => `{"return": 1, "id": ${id}}\n`);
    expect(await (await connecting).execute('query-status')).toBe(1);
  });

  it('emits events, also when a message is split over chunks within a character', async () => {
    await monitor(() => undefined);
    const client = await connect();
    const received = new Promise((resolve) => client.once('event', resolve));
    const bytes = Buffer.from(
      '{"event": "RESET", "data": {"reason": "é"}, "timestamp": {"seconds": 7, "microseconds": 500000}}\n',
    );
    const cut = bytes.indexOf(0xc3) + 1;
    sockets[0]?.write(bytes.subarray(0, cut));
    await new Promise((resolve) => setTimeout(resolve, 20));
    sockets[0]?.write(bytes.subarray(cut));
    expect(await received).toEqual({ name: 'RESET', data: { reason: 'é' } });
  });

  it("turns QEMU's error reply into qmp.refused with its text", async () => {
    await monitor(
      ({ id }) => `{"error": {"class": "CommandNotFound", "desc": "no such command"}, "id": ${id}}\n`,
    );
    const client = await connect();
    await expect(client.execute('x')).rejects.toMatchObject({
      code: 'qmp.refused',
      message: expect.stringContaining('no such command'),
    });
  });

  it('gives up on a command at its time limit and stays usable', async () => {
    await monitor(({ id, execute }) => (execute === 'slow' ? undefined : `{"return": 2, "id": ${id}}\n`));
    const client = await connect();
    await expect(client.execute('slow', {}, { timeoutSeconds: 0.05 })).rejects.toMatchObject({
      code: 'qmp.timeout',
      retryable: true,
    });
    expect(await client.execute('fast')).toBe(2);
  });

  it('fails commands under way when QEMU ends, and refuses later ones', async () => {
    await monitor(() => {
      sockets[0]?.destroy();
      return undefined;
    });
    const client = await connect();
    await expect(client.execute('quit')).rejects.toMatchObject({ code: 'qmp.closed' });
    await expect(client.execute('quit')).rejects.toMatchObject({ code: 'qmp.closed' });
  });

  it('refuses a peer that does not speak QMP', async () => {
    await monitor(() => undefined, 'SSH-2.0-OpenSSH\r\n');
    await expect(connect()).rejects.toMatchObject({ code: 'qmp.protocol' });
  });

  it('refuses a peer that never greets', async () => {
    await monitor(() => undefined, '');
    await expect(connect(0.1)).rejects.toMatchObject({ code: 'qmp.timeout' });
  });

  it('says which socket never appeared', async () => {
    await expect(connect(0.1)).rejects.toMatchObject({
      code: 'qmp.connect',
      message: expect.stringContaining(path),
    });
  });

  it('stops waiting for the socket when aborted', async () => {
    const controller = new AbortController();
    const connecting = QmpClient.connect(path, { signal: controller.signal, timeoutSeconds: 60 });
    const reason = new Error('cancelled');
    setTimeout(() => controller.abort(reason), 30);
    await expect(connecting).rejects.toBe(reason);
  });

  it('ends commands under way when aborted later', async () => {
    await monitor(() => undefined);
    const controller = new AbortController();
    const client = await QmpClient.connect(path, { signal: controller.signal });
    clients.push(client);
    const waiting = client.execute('never');
    controller.abort();
    await expect(waiting).rejects.toMatchObject({ code: 'qmp.closed' });
  });
});
