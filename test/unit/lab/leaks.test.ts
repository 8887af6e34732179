import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { endProcesses, markedProcesses } from '../../lab/leaks.ts';

test('finds a marked process that detached from its parent, and ends it', async () => {
  const mark = `test-${process.pid}-${Date.now()}`;
  const child = spawn('sleep', ['300'], {
    detached: true,
    stdio: 'ignore',
    env: { ...process.env, H2K_LEAK_TEST: mark },
  });
  await once(child, 'spawn');
  let found = await markedProcesses('H2K_LEAK_TEST', mark);
  expect(found.map(({ command }) => command)).toEqual(['sleep 300']);
  endProcesses(found);
  for (let tries = 0; tries < 50 && found.length > 0; tries += 1) {
    await setTimeout(20);
    found = await markedProcesses('H2K_LEAK_TEST', mark);
  }
  expect(found).toEqual([]);
});
