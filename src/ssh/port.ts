import type { ConnectReader, GuestPort } from '../access/guest-access.js';
import { sshReader } from './reader.js';
import type { RemoteShell } from './shell.js';

type Question =
  | { script: string; options: Parameters<RemoteShell['run']>[1] }
  | { script: string; file: string };

/** Returns the port for a thread, which sends its scripts to the main thread, because that has the connection. */
export function sshPort(shell: RemoteShell, settings: Parameters<typeof sshReader>[1]): GuestPort {
  return {
    module: import.meta.url,
    settings,
    answer(question) {
      const asked = question as Question;
      return 'file' in asked ? shell.save(asked.script, asked.file) : shell.run(asked.script, asked.options);
    },
  };
}

/** @public A thread imports it by the module's name. */
export const connectReader: ConnectReader = (settings, ask) => {
  const shell: RemoteShell = {
    async run(script, options) {
      const result = (await ask({ script, options } satisfies Question)) as Awaited<
        ReturnType<RemoteShell['run']>
      >;
      // A Buffer arrives as a plain Uint8Array.
      return { ...result, stdout: Buffer.from(result.stdout) };
    },
    save: (script, file) => ask({ script, file } satisfies Question) as ReturnType<RemoteShell['save']>,
  };
  return sshReader(shell, settings as Parameters<typeof sshReader>[1]);
};
