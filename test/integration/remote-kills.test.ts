import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { FileServer } from '../unit/sources/remote/file-server.js';

const LAND = fileURLToPath(new URL('support/land-once.ts', import.meta.url));
const MIB = 1024 * 1024;
const KILLS = 20;

let server: FileServer;
let work: string;
let landing: ChildProcess | undefined;
beforeEach(async () => {
  server = await FileServer.start();
  work = mkdtempSync(join(tmpdir(), 'h2k-kills-'));
});
afterEach(async () => {
  landing?.kill('SIGKILL');
  await server.stop();
  rmSync(work, { recursive: true });
});

function land(): Promise<unknown[]> {
  landing = spawn(process.execPath, [LAND, server.url, '/disk.raw', work], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  return once(landing, 'exit');
}

it(`lands a disk although it is killed ${KILLS} times, with at most a fifth of the disk twice`, async () => {
  const disk = randomBytes(256 * MIB + 512);
  server.serve('/disk.raw', disk);
  server.behaviour = { rate: 2 * MIB };
  for (let kill = 0; kill < KILLS; kill += 1) {
    const before = server.sent;
    const ended = land();
    while (server.sent < before + 3.5 * MIB) await sleep(10);
    landing?.kill('SIGKILL');
    expect(await ended).toEqual([null, 'SIGKILL']);
  }
  server.behaviour = {};
  expect(await land()).toEqual([0, null]);
  expect(readFileSync(join(work, 'remote/vm/disk.raw')).equals(disk)).toBe(true);
  expect(server.sent / disk.length).toBeLessThan(1.2);
});
