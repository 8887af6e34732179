import type { Logger } from 'pino';
import type { Config } from '../../config/schema.js';
import { type ErrorRecord, errorRecord, Hyper2kvmError } from '../../errors/error.js';
import type { UndoRecord } from '../../model/undo.js';
import { printable } from '../../text/escape-terminal.js';
import { undoElsewhere } from './transports/registry.js';

/** What became of a record; `error` is null if what it names is gone. */
export interface Released {
  record: UndoRecord;
  error: ErrorRecord | null;
}

interface ReleaseContext {
  config: Pick<Config, 'remote'>;
  signal: AbortSignal;
  log: Logger;
}

/** Undoes what was made elsewhere: here, or in the unit that has the network. Never rejects for one of them. */
export type Release = (
  job: string,
  records: readonly UndoRecord[],
  context: ReleaseContext,
) => Promise<Released[]>;

/** Undoes by this process. What was made last goes first, because it may depend on what was made before it. */
export const releaseHere: Release = async (_job, records, context) => {
  const released: Released[] = [];
  for (const record of records.toReversed()) released.push(await releaseOne(record, context));
  return released;
};

async function releaseOne(record: UndoRecord, { config, signal, log }: ReleaseContext): Promise<Released> {
  try {
    const connection = config.remote.connections.find(({ name }) => name === record.connection);
    if (connection === undefined)
      throw new Hyper2kvmError(
        'remote.connection-unknown',
        `there is no connection “${printable(record.connection)}” any more`,
      );
    await undoElsewhere(record, connection, { parallel: 1, signal, log });
    return { record, error: null };
  } catch (error) {
    return { record, error: errorRecord(error) };
  }
}
