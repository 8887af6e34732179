import { unlink } from 'node:fs/promises';
import { connect } from 'node:net';

/** sockaddr_un has 108 bytes, including the terminating zero (unix(7)). */
export const LONGEST_SOCKET_PATH = 107;

/** Removes a socket file that outlived its process. Returns false if something still listens on it. */
export async function clearStaleSocket(path: string): Promise<boolean> {
  const state = await new Promise<string>((resolve) => {
    const probe = connect(path, () => {
      probe.destroy();
      resolve('alive');
    });
    probe.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'unknown'));
  });
  if (state === 'ECONNREFUSED') await unlink(path);
  return state !== 'alive';
}
