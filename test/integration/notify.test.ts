import { randomBytes } from 'node:crypto';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseExposition } from '../unit/metrics/parse.js';
import { cli } from './support/cli.js';
import { Spool, until } from './support/daemon.js';

/** What others see of the daemon's work: notifications, over its death too, and metrics. */
interface Told {
  id: string;
  event: string;
  job?: { job: string; vm: string; directory: string; error: { code: string; stage: string } | null };
  queue?: { reason: string };
}

let spool: Spool;
let server: Server;
let metricsPort = 0;
let answer = 503;
const told: Told[] = [];
const keys: unknown[] = [];
beforeAll(async () => {
  server = createServer(async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    told.push(JSON.parse(Buffer.concat(parts).toString()) as Told);
    keys.push(request.headers['idempotency-key']);
    response.writeHead(answer).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  metricsPort = port + 1 > 65_535 ? port - 1 : port + 1;
  spool = await Spool.create();
  const config = await readFile(spool.path('config.toml'), 'utf8');
  const tell = spool.path('tell');
  await writeFile(tell, '#!/bin/sh\ncat >"$1"\n');
  await chmod(tell, 0o755);
  await writeFile(
    spool.path('config.toml'),
    `${config}
[metrics]
listen = "127.0.0.1:${metricsPort}"
[notify]
backoff_seconds = 0.5
[[notify.webhooks]]
name = "chat"
url = "http://127.0.0.1:${port}/"
events = ["converted", "paused", "resumed"]
[[notify.commands]]
name = "ticket"
events = ["failed"]
command = [${JSON.stringify(tell)}, ${JSON.stringify(spool.path('ticket.json'))}]
`,
  );
  await spool.start();
});
afterAll(async () => {
  await spool.destroy();
  server.closeAllConnections();
  server.close();
});

async function drop(name: string, toml: string): Promise<void> {
  await writeFile(spool.path('incoming', `${name}.job.toml`), toml);
  await writeFile(spool.path(`${name}.raw`), randomBytes(1024 * 1024));
  await spool.drop(spool.path(`${name}.raw`));
}

test('what was undelivered when the daemon was killed is delivered by the next one, under the same key', async () => {
  await drop('db01', 'kind = "data"\n');
  const job = await spool.waitForJob(({ state }) => state === 'converted', 60);
  await until('a refused try', 20, async () => told.length > 0);
  await spool.kill('SIGKILL');
  const before = told.length;
  answer = 204;
  await spool.start();
  await until('the delivery', 20, async () => told.length > before);
  expect(told.at(-1)).toMatchObject({
    event: 'converted',
    job: { job: job.job, vm: 'db01', directory: job.directory, error: null },
  });
  expect(new Set([...keys, ...told.map(({ id }) => id)]).size).toBe(1);
  // Delivered: it is not told again.
  expect(told.length).toBe(before + 1);
});

test('a command is told of a failed job, a webhook of pause and resume', async () => {
  await drop('bad01', 'kind = "data"\n[convert]\nformat = "floppy"\n');
  const job = await spool.waitForJob(({ state }) => state === 'failed', 60, { mayFail: true });
  await until(
    'the ticket',
    20,
    async () => (await readFile(spool.path('ticket.json'), 'utf8').catch(() => '')) !== '',
  );
  expect(JSON.parse(await readFile(spool.path('ticket.json'), 'utf8'))).toMatchObject({
    event: 'failed',
    job: { job: job.job, error: { code: 'job-options.invalid-value' } },
  });
  const before = told.length;
  await spool.post('/v1/pause');
  await spool.post('/v1/resume');
  await until('both', 20, async () => told.length >= before + 2);
  expect(told.slice(before).map(({ event, queue }) => [event, queue?.reason])).toEqual([
    ['paused', 'operator'],
    ['resumed', 'operator'],
  ]);
});

test('metrics of all daemons so far, from the command and over loopback HTTP', async () => {
  const { code, out } = await cli(['metrics', '--config', spool.path('config.toml')]);
  expect(code).toBe(0);
  const samples = Object.fromEntries(parseExposition(out));
  expect(samples).toMatchObject({
    'hyper2kvm_jobs{state="converted"}': 1,
    'hyper2kvm_jobs{state="failed"}': 1,
    // Of the first daemon.
    'hyper2kvm_stage_runs_total{stage="convert",status="completed"}': 1,
    'hyper2kvm_notifications_total{target="chat",outcome="delivered"}': 3,
    'hyper2kvm_notifications_total{target="ticket",outcome="delivered"}': 1,
  });
  expect(samples['hyper2kvm_stage_written_bytes_total{stage="convert",status="completed"}']).toBeGreaterThan(
    1024 * 1024,
  );
  const response = await fetch(`http://127.0.0.1:${metricsPort}/metrics`);
  expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
  expect([...parseExposition(await response.text()).keys()]).toEqual(Object.keys(samples));
  expect((await fetch(`http://127.0.0.1:${metricsPort}/v1/status`)).status).toBe(404);
});
