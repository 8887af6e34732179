import { syncTree } from '../host/durable.js';
import { run } from './run.js';

/** A week: a copy takes as long as it takes, its signal ends it. */
const TIMEOUT_SECONDS = 7 * 86_400;

/**
 * Copies files and directories onto another filesystem with modes, times and links as they are, and fsyncs the result. cp(1) because it can be killed in the
 * middle of a large file, keeps holes and reflinks where it can; fs.copyFile does neither. `to` is the new name and must not exist.
 */
export async function copyDurably(from: string, to: string, signal: AbortSignal): Promise<void> {
  const flags = ['--archive', '--no-target-directory', '--reflink=auto', '--sparse=auto'];
  await run('cp', [...flags, '--', from, to], { signal, timeoutSeconds: TIMEOUT_SECONDS });
  await syncTree(to);
}
