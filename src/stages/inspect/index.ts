import { z } from 'zod';
import type { Stage } from '../../engine/stage.js';
import type { ErrorCode } from '../../errors/catalogue.js';
import { errorRecord } from '../../errors/error.js';
import { fetchOutput } from '../fetch/output.js';
import { flattenOutput } from '../flatten/output.js';
import { inspectInThread } from './in-thread.js';
import type { InspectGuestRequest } from './inspect-guest.js';
import { readKeys } from './luks-keys.js';
import { type InspectOutput, inspectOutput } from './output.js';

const inspectInput = z.object({ fetch: fetchOutput, flatten: flattenOutput });
type InspectInput = z.infer<typeof inspectInput>;

/** What keeps INSPECT from knowing a guest, but does not matter where nothing in it is changed. */
const UNREADABLE: ReadonlySet<string> = new Set([
  'guest.call-failed',
  'guest.filesystem-too-new',
  'guest.hive-corrupt',
  'guest.hive-dirty',
  'guest.hive-unsupported',
  'guest.too-complex',
  'guest.too-slow',
  'inspect.bitlocker',
  'inspect.configuration-too-large',
  'inspect.duplicate-uuid',
  'inspect.duplicate-vg',
  'inspect.encrypted',
  'inspect.hive-unreadable',
  'inspect.no-kernel',
  'inspect.no-os',
  'inspect.too-many-kernels',
  'inspect.too-many-volumes',
  'inspect.unknown-architecture',
  'inspect.unmountable',
  'inspect.windows-root',
] satisfies ErrorCode[]);

/**
 * Opens the VM in the appliance, finds its system and captures its configuration. All later stages work on
 * what is returned here. Because the guest may be hostile, its contents are read in a thread.
 */
export const inspectStage: Stage<InspectInput, InspectOutput> = {
  name: 'inspect',
  version: 6,
  lane: 'appliances',
  input: inspectInput,
  output: inspectOutput,
  dependsOn: (options) => ({
    firmware: options.vm.firmware ?? null,
    root: options.config.windows.root,
    // What is refused otherwise is then described as far as it can be.
    ...(options.config.fix.mode === 'none' ? { as_is: true } : {}),
    luks: options.config.guest.luks.map(({ device, key_file }) => [device, key_file]),
  }),
  enabled: (options) => options.kind === 'vm',
  async run(context, { fetch, flatten }) {
    const { options, workDirectory, signal } = context;
    context.progress({ percent: 0, step: 'launching the appliance' });
    const access = await context.guest(
      flatten.disks.map(({ image }) => image),
      flatten.disks.map(({ sector_size }) => sector_size),
    );
    const before = await access.traffic();
    const request: InspectGuestRequest = {
      isOffline: access.capabilities.offline,
      keys: await readKeys(options.config.guest.luks, context.source),
      controllers: flatten.disks.map((disk) => disk.controller),
      diskIds: fetch.disks.map(({ chain }) => chain.layers.flatMap(({ uuid }) => uuid ?? [])),
      chosenRoot: options.config.windows.root || null,
      firmware: options.vm.firmware ?? fetch.hardware.firmware,
      nics: fetch.hardware.nics,
      workDirectory,
    };
    const inspect = (more: Pick<InspectGuestRequest, 'unread'>) =>
      inspectInThread(access.port, { ...request, ...more }, { signal, progress: context.progress });
    const output = await inspect({}).catch((error: unknown) => {
      const { code, message } = errorRecord(error);
      if (options.config.fix.mode !== 'none' || !UNREADABLE.has(code)) throw error;
      context.log.warn({ code }, 'guest is converted without being looked into');
      return inspect({ unread: { code, reason: message } });
    });
    const after = await access.traffic();
    context.account({ read: after.read - before.read });
    return output;
  },
  files: ({ snapshot, initramfs_listings }) => [snapshot, initramfs_listings],
};
