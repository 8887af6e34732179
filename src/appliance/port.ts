import type { ConnectReader, GuestPort } from '../access/guest-access.js';
import { applianceReader } from './reader.js';
import type { ApplianceSession } from './session.js';

/** A call of libguestfs, by name. */
interface Call {
  call: Parameters<ApplianceSession['call']>[0];
  args: unknown[];
}

/**
 * Returns the port for a thread, which sends each call to the main thread, because that owns the appliance.
 */
export function appliancePort(session: Pick<ApplianceSession, 'call'>, workDirectory: string): GuestPort {
  return {
    module: import.meta.url,
    settings: workDirectory,
    answer(question) {
      const { call, args } = question as Call;
      return session.call(call, ...(args as never));
    },
  };
}

/** @public A thread imports it by the module's name. */
export const connectReader: ConnectReader = (settings, ask) => {
  const call = (name: Call['call'], ...args: unknown[]) => ask({ call: name, args } satisfies Call);
  return applianceReader({ call } as Pick<ApplianceSession, 'call'>, settings as string);
};
