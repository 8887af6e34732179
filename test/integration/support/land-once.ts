import { configSchema } from '#hyper2kvm/config/schema.js';
import { createLog } from '#hyper2kvm/host/log.js';
import { landVm } from '#hyper2kvm/sources/remote/land-vm.js';

/** `land-once.ts URL PATH DIRECTORY`: lands one file of a web server, as the fetching unit does, to be killed. */
const [url, path = '', workDirectory = ''] = process.argv.slice(2);
const nothing = () => {};
await landVm(
  { connection: 'web', vm: [path], transport: 'auto', power: 'off', sha256: {} },
  {
    config: configSchema.parse({ remote: { connections: [{ name: 'web', type: 'http', url }] } }),
    workDirectory,
    signal: new AbortController().signal,
    log: createLog({ level: 'warn', form: 'json' }).logger,
    progress: nothing,
    account: nothing,
    advanced: nothing,
    reserve: async () => {},
    undoing: { job: 'job1', known: [], record: async () => {}, forget: async () => {}, isKept: false },
  },
);
