import { pino } from 'pino';
import { configSchema } from '../../../../src/config/schema.js';
import type { LandEnvironment } from '../../../../src/sources/remote/land-vm.js';
import type { RemoteSpec } from '../../../../src/sources/remote/spec.js';
import { NOTHING } from './undo-book.js';

/** What landing needs, with a connection `web` to that server. What is reported is in the arrays. */
export function landingEnvironment(
  url: string,
  workDirectory: string,
  settings: { connection?: object; remote?: object; retry?: object; signal?: AbortSignal } = {},
) {
  const reserved: number[] = [];
  const steps: number[] = [];
  const counts = { read: 0, written: 0, advanced: 0 };
  const config = configSchema.parse({
    remote: {
      ...settings.remote,
      connections: [{ name: 'web', type: 'http', url, ...settings.connection }],
    },
    retry: { attempts: 3, ...settings.retry },
  });
  const environment: LandEnvironment = {
    config,
    workDirectory,
    signal: settings.signal ?? new AbortController().signal,
    log: pino({ level: 'silent' }),
    undoing: NOTHING,
    progress: ({ percent }) => void steps.push(percent),
    reserve: async (bytes) => void reserved.push(bytes),
    account({ read = 0, written = 0 }) {
      counts.read += read;
      counts.written += written;
    },
    advanced() {
      counts.advanced += 1;
    },
  };
  return { environment, reserved, steps, counts };
}

export function specOf(...vm: string[]): RemoteSpec {
  return { connection: 'web', vm, transport: 'auto', power: 'off', sha256: {} };
}
