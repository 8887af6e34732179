import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { expect, it, onTestFinished } from 'vitest';
import { type ProcessIo, processIo } from '../../../src/host/process-io.js';
import { run } from '../../../src/tools/run.js';

const MIB = 1024 * 1024;

it('counts what a program reads that another one has started', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'h2k-io-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const source = join(directory, 'source');
  writeFileSync(source, Buffer.alloc(3 * MIB));
  const input = new PassThrough();
  let pid = 0;
  let io: ProcessIo | null = null;
  // The inner shell has read everything, and waits for its input's end; the outer one waits for it.
  await run('sh', ['-c', `sh -c 'cat ${source} >/dev/null; echo done; read end'; :`], {
    input,
    onStart(started) {
      pid = started;
    },
    onStdout() {
      io = processIo(pid);
      input.end('end\n');
    },
  });
  expect(io!.read).toBeGreaterThanOrEqual(3 * MIB);
  expect(processIo(pid)).toEqual({ read: 0, deviceRead: 0, deviceWritten: 0 });
});
