import { pino } from 'pino';
import { Hyper2kvmError } from '../../errors/error.js';
import { reachHosts } from '../../sources/remote/transports/registry.js';
import { type Check, type Finding, fail, ok } from './check.js';

/** Returns the check of one of `[[remote.connections]]`: a row for each host that data come from. */
export function checkConnection(name: string): Check {
  return async ({ config, signal }) => {
    const connection = config.remote.connections.find((one) => one.name === name);
    if (connection === undefined)
      throw new Hyper2kvmError('remote.connection-unknown', `there is no connection “${name}”`, {
        facts: `There are: ${config.remote.connections.map((one) => one.name).join(', ') || 'none'}.`,
      });
    const context = { parallel: 1, signal, log: pino({ level: 'silent' }) };
    return reachHosts(connection, context).then(
      (reached) => reached.map(({ host, found }) => findingOf(host, found)),
      (error: unknown) => {
        if (error instanceof Hyper2kvmError) return [findingOf(name, error)];
        throw error;
      },
    );
  };
}

function findingOf(name: string, found: string | Hyper2kvmError): Finding {
  if (typeof found === 'string') return ok(name, found);
  return fail(name, `${found.message} (${found.code})`, found.advice);
}
