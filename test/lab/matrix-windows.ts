import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/**
 * Converts the nine Windows of the lab with a virtio-win, of which `npm test` converts two, and holds all that is
 * written against the golden values. Returns whether all are right.
 */
export async function convertWindows(): Promise<boolean> {
  const args = ['run', '--config', 'test/vitest.config.ts', 'test/guests/windows-drivers.test.ts'];
  const child = spawn('vitest', args, {
    cwd: ROOT,
    env: { ...process.env, HYPER2KVM_WINDOWS: 'all' },
    stdio: 'inherit',
  });
  const [code] = (await once(child, 'exit')) as [number | null];
  return code === 0;
}
