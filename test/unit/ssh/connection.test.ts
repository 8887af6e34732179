import { expect, test } from 'vitest';
import { RUN_SCRIPT } from '../../../src/ssh/connection.js';
import { run } from '../../../src/tools/run.js';

/** Runs what a login shell on a host would be told to. */
const remote = (input: Uint8Array) => run('sh', ['-c', RUN_SCRIPT], { input, okCodes: [0, 1, 2] });

const SCRIPT = 'echo größe\ncat\necho end';
const whole = Buffer.from(`${Buffer.byteLength(SCRIPT)}\n${SCRIPT}`);

test('a script runs with what follows it as its input', async () => {
  expect((await remote(Buffer.concat([whole, Buffer.from('input\n')]))).stdout.toString()).toBe(
    'größe\ninput\nend',
  );
});

test('nothing is run of a script that is cut off', async () => {
  for (const cut of [1, 5, 8, SCRIPT.length - 3, whole.length - 8]) {
    const { code, stdout } = await remote(whole.subarray(0, -cut));
    expect({ code, out: stdout.toString() }).toEqual({ code: 1, out: '' });
  }
});
