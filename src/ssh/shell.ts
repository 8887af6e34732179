import { open } from 'node:fs/promises';
import { Hyper2kvmError } from '../errors/error.js';
import { lastLines } from '../text/lines.js';
import type { RemoteOptions, RemoteResult, SshConnection } from './connection.js';

/** Runs scripts as root on the host; also from a thread of ours (port.ts). */
export interface RemoteShell {
  run(script: string, options?: Pick<RemoteOptions, 'input' | 'maxBytes'>): Promise<RemoteResult>;
  /** Writes what the script prints to `file` on this host. */
  save(script: string, file: string): Promise<Omit<RemoteResult, 'stdout'>>;
}

/** An initramfs, or the configuration as an archive; what hostile guests have is larger. */
const MAX_FILE_BYTES = 512 * 1024 * 1024;

export function remoteShell({ run }: Pick<SshConnection, 'run'>): RemoteShell {
  return {
    run,
    async save(script, file) {
      const target = await open(file, 'w', 0o600);
      try {
        const { code, stderr } = await run(script, {
          maxBytes: MAX_FILE_BYTES,
          onStdout: (chunk) => target.write(chunk),
        });
        return { code, stderr };
      } finally {
        await target.close();
      }
    },
  };
}

/** Returns the error for a script that failed because the guest refused something. */
export function refusedBy({ code, stderr }: Pick<RemoteResult, 'code' | 'stderr'>): Hyper2kvmError {
  return new Hyper2kvmError('guest.call-failed', lastLines(stderr) || `a command exited with code ${code}`);
}
