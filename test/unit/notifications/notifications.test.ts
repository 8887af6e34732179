import { createHmac } from 'node:crypto';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type Config, configSchema } from '../../../src/config/schema.js';
import { jobFacts, type NotifyEvent } from '../../../src/notifications/event.js';
import { Notifications } from '../../../src/notifications/notifications.js';
import type { QueueStore } from '../../../src/queue/store.js';
import { enqueue, scratchDirectory, scratchQueue } from '../queue/scratch.js';

interface Received {
  headers: IncomingHttpHeaders;
  body: string;
}

/** Answers with these codes in turn, then with the last one; 0: not at all. */
async function receiver(...codes: number[]): Promise<{ url: string; received: Received[] }> {
  const received: Received[] = [];
  const server = createServer(async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const code = codes[Math.min(received.length, codes.length - 1)] ?? 200;
    received.push({ headers: request.headers, body: Buffer.concat(parts).toString() });
    if (code !== 0) response.writeHead(code, code === 307 ? { location: '/elsewhere' } : {}).end('x');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook?token=s3cret`, received };
}

const PAUSED: NotifyEvent = { event: 'paused', queue: { reason: 'operator' } };

function notifications(queue: QueueStore, notify: Record<string, unknown>) {
  const lines: Record<string, unknown>[] = [];
  const log = pino({ level: 'debug' }, { write: (line: string) => void lines.push(JSON.parse(line)) });
  const config: Config = configSchema.parse({ notify: { backoff_seconds: 0.1, ...notify } });
  const part = new Notifications({ outbox: queue.outbox, config: () => config, log });
  onTestFinished(() => part.stop());
  const tell = async (event: NotifyEvent) => {
    await queue.outbox.add(part.messages(event));
    part.wake();
  };
  return { part, tell, lines };
}

async function until(check: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 300 && !(await check()); tries++) await sleep(10);
  expect(await check()).toBe(true);
}

const isEmpty = async ({ outbox }: QueueStore) => (await outbox.targets()).length === 0;

describe('webhooks', () => {
  it('get the job as signed JSON, once', async () => {
    const queue = scratchQueue();
    const { url, received } = await receiver(204);
    const secret = join(scratchDirectory(), 'secret');
    writeFileSync(secret, 'k3y\n');
    const { part, tell } = notifications(queue, { webhooks: [{ name: 'chat', url, secret_file: secret }] });
    part.start();
    await tell({ event: 'converted', job: jobFacts(await enqueue(queue, 'j1')) });
    await until(() => isEmpty(queue));
    expect(received).toHaveLength(1);
    const { headers, body } = received[0]!;
    const { id, ...told } = JSON.parse(body) as Record<string, unknown>;
    expect(told).toMatchObject({ event: 'converted', job: { job: 'j1', vm: 'vm-j1', error: null } });
    expect(headers).toMatchObject({
      'content-type': 'application/json',
      'idempotency-key': id,
      'hyper2kvm-signature': `sha256=${createHmac('sha256', 'k3y').update(body).digest('hex')}`,
    });
    expect(await queue.outbox.counts()).toEqual([{ target: 'chat', outcome: 'delivered', count: 1 }]);
  });

  it('that fail are tried again with the same key and body', async () => {
    const queue = scratchQueue();
    const { url, received } = await receiver(500, 307, 200);
    const { part, tell, lines } = notifications(queue, { webhooks: [{ name: 'chat', url }] });
    part.start();
    await tell(PAUSED);
    await until(() => isEmpty(queue));
    // A redirect is a failure, and not followed.
    expect(received).toHaveLength(3);
    expect(new Set(received.map(({ body }) => body)).size).toBe(1);
    expect(new Set(received.map(({ headers }) => headers['idempotency-key'])).size).toBe(1);
    expect(lines.map(({ level, code }) => [level, code])).toEqual([
      [40, 'notify.refused'],
      [20, 'notify.refused'],
      [20, undefined],
    ]);
    expect(JSON.stringify(lines)).not.toContain('s3cret');
  });

  it('get what a daemon that died left in the outbox, under the same key', async () => {
    const queue = scratchQueue();
    const { url, received } = await receiver(500, 200);
    const config = { webhooks: [{ name: 'chat', url }], backoff_seconds: 0.2 };
    const first = notifications(queue, config);
    first.part.start();
    await first.tell(PAUSED);
    await until(() => received.length === 1);
    await first.part.stop();
    notifications(queue, config).part.start();
    await until(() => isEmpty(queue));
    expect(received).toHaveLength(2);
    expect(received[1]!.headers['idempotency-key']).toBe(received[0]!.headers['idempotency-key']);
  });

  it('are given up after so many tries, counted and logged; another receiver is not held up', async () => {
    const queue = scratchQueue();
    const [bad, good] = [await receiver(503), await receiver(200)];
    const { part, tell, lines } = notifications(queue, {
      webhooks: [
        { name: 'bad', url: bad.url },
        { name: 'good', url: good.url },
      ],
      attempts: 3,
    });
    part.start();
    await tell(PAUSED);
    await until(() => good.received.length === 1);
    expect(bad.received.length).toBeLessThan(3);
    await until(() => isEmpty(queue));
    expect(bad.received).toHaveLength(3);
    expect(await queue.outbox.counts()).toEqual([
      { target: 'bad', outcome: 'given_up', count: 1 },
      { target: 'good', outcome: 'delivered', count: 1 },
    ]);
    expect(lines.at(-1)).toMatchObject({ level: 50, msg: 'notification given up', attempts: 3 });
  });

  it('that do not answer neither delay the stop nor lose what is undelivered', async () => {
    const queue = scratchQueue();
    const { url, received } = await receiver(0);
    const { part, tell } = notifications(queue, { webhooks: [{ name: 'chat', url, timeout_seconds: 60 }] });
    part.start();
    await tell(PAUSED);
    await until(() => received.length === 1);
    const before = performance.now();
    await part.stop();
    expect(performance.now() - before).toBeLessThan(500);
    expect(await queue.outbox.due('chat', Date.now())).toMatchObject({ attempts: 0 });
  });

  it('that take too long, that nobody serves, or whose secret is missing, have each their reason', async () => {
    const queue = scratchQueue();
    const { url } = await receiver(0);
    const { part, tell, lines } = notifications(queue, {
      webhooks: [
        { name: 'slow', url, timeout_seconds: 1 },
        { name: 'nobody', url: 'http://127.0.0.1:1/' },
        { name: 'secret', url, secret_file: '/nonexistent' },
      ],
      attempts: 1,
    });
    part.start();
    await tell(PAUSED);
    await until(() => isEmpty(queue));
    expect(Object.fromEntries(lines.map(({ target, code, error }) => [target, [code, error]]))).toEqual({
      slow: ['notify.unreachable', 'slow cannot be reached: no answer in 1 s'],
      nobody: ['notify.unreachable', expect.stringMatching(/^nobody cannot be reached: /)],
      secret: ['notify.secret', expect.stringContaining('/nonexistent cannot be read')],
    });
  });
});

describe('commands', () => {
  it('get the event on stdin, again after a failure', async () => {
    const queue = scratchQueue();
    const directory = scratchDirectory();
    const [script, out] = [join(directory, 'tell'), join(directory, 'out')];
    writeFileSync(script, '#!/bin/sh\n[ -e "$1" ] && exec cat >>"$1"\ncat >"$1"\nexit 4\n');
    chmodSync(script, 0o755);
    const { part, tell, lines } = notifications(queue, {
      commands: [{ name: 'ticket', command: [script, out] }],
    });
    part.start();
    await tell(PAUSED);
    await until(() => isEmpty(queue));
    expect(existsSync(out)).toBe(true);
    const [first, second] = readFileSync(out, 'utf8').split(/(?<=\})(?=\{)/);
    expect(second).toBe(first);
    expect(JSON.parse(first!)).toMatchObject({ event: 'paused', queue: { reason: 'operator' } });
    expect(lines[0]).toMatchObject({ target: 'ticket', code: 'tool.failed' });
  });
});

describe('messages', () => {
  it('are for the receivers that want the event', () => {
    const queue = scratchQueue();
    const commands = ['failed', 'paused'].map((event) => ({
      name: event,
      events: [event],
      command: ['/bin/true'],
    }));
    const messages = notifications(queue, { commands }).part.messages(PAUSED);
    expect(messages.map(({ target }) => target)).toEqual(['paused']);
  });

  it('of a receiver that is not configured any more are given up', async () => {
    const queue = scratchQueue();
    await notifications(queue, { commands: [{ name: 'gone', command: ['/bin/true'] }] }).tell(PAUSED);
    notifications(queue, {}).part.start();
    await until(() => isEmpty(queue));
    expect(await queue.outbox.counts()).toEqual([{ target: 'gone', outcome: 'given_up', count: 1 }]);
  });
});

describe('[notify]', () => {
  it.each([
    [{ webhooks: [{ name: 'a', url: 'ftp://example.org/' }] }, 'http or https'],
    [{ webhooks: [{ name: 'a', url: 'https://me:pw@example.org/' }] }, 'must not contain a user or password'],
    [{ commands: [{ name: 'a', command: ['tell'] }] }, 'absolute path'],
    [{ commands: ['a', 'a'].map((name) => ({ name, command: ['/bin/true'] })) }, 'the same name'],
  ])('refuses %j', (notify, why) => {
    expect(configSchema.safeParse({ notify }).error?.message).toContain(why);
  });
});
