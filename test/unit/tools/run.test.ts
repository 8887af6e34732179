import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { run } from '../../../src/tools/run.js';

const shell = (script: string, options: Parameters<typeof run>[2] = {}) => run('sh', ['-c', script], options);

describe('run, with a program that', () => {
  it('hangs: it is killed at its time limit, with what it started, and may be tried again', async () => {
    const started = performance.now();
    await expect(shell('sleep 60 & sleep 60', { timeoutSeconds: 0.3 })).rejects.toMatchObject({
      code: 'tool.timeout',
      retryable: true,
    });
    expect(performance.now() - started).toBeLessThan(15_000);
  });

  it('is killed, as by the kernel when memory is short: it may be tried again', async () => {
    await expect(shell('kill -9 $$')).rejects.toMatchObject({ code: 'tool.killed', retryable: true });
  });

  it('floods stderr: it is killed, and not tried again', async () => {
    await expect(shell('yes "something is wrong" >&2')).rejects.toMatchObject({
      code: 'tool.output-flood',
      retryable: false,
    });
  });

  it('meets a full disk: the job waits for space', async () => {
    await expect(shell('echo "write: No space left on device" >&2; exit 1')).rejects.toMatchObject({
      code: 'host.enospc',
      retryable: true,
    });
  });

  it('does not exist', async () => {
    await expect(run('no-such-program', [])).rejects.toMatchObject({ code: 'tool.failed', retryable: false });
  });
});

it('hands output on one piece at a time, in order, also when the program has ended meanwhile', async () => {
  const pieces: string[] = [];
  let handling = 0;
  // A pipe holds the second part, so that the program ends while the first one is handled.
  await shell('head -c 65536 /dev/zero | tr "\\0" a; head -c 40000 /dev/zero | tr "\\0" b', {
    async onStdout(chunk) {
      handling += 1;
      expect(handling).toBe(1);
      if (pieces.length === 0) await sleep(300);
      pieces.push(chunk.toString());
      handling -= 1;
    },
  });
  expect(pieces.length).toBeGreaterThan(1);
  expect(pieces.join('')).toBe('a'.repeat(65_536) + 'b'.repeat(40_000));
});

it('ends the program, and throws what its reader throws', async () => {
  const reading = shell('yes', {
    onStdout: async () => {
      throw new Error('enough');
    },
  });
  await expect(reading).rejects.toThrow('enough');
});
