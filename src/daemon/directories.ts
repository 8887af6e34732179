import { constants } from 'node:fs';
import { access, mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Config } from '../config/schema.js';
import { Hyper2kvmError } from '../errors/error.js';

/**
 * Ensures that the directories that the daemon writes to exist and are writable. `incoming` is created too if
 * its parent exists, but if it disappears later, that is not an error: it may be a mount point. Errors:
 * `daemon.directory`.
 */
export async function prepareDirectories(config: Config): Promise<void> {
  const { spool, state, control } = config;
  for (const directory of [
    spool.incoming,
    spool.work,
    spool.archive,
    spool.failed,
    dirname(state.database),
    dirname(control.socket),
  ]) {
    try {
      await mkdir(directory, { recursive: true, mode: 0o750 });
      await access(directory, constants.R_OK | constants.W_OK | constants.X_OK);
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new Hyper2kvmError('daemon.directory', `${directory} cannot be used: ${why}`, {
        cause,
      });
    }
  }
}
