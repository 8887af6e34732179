import { z } from 'zod';
import { Hyper2kvmError } from '../errors/error.js';
import { listInThread } from '../guest/list-in-thread.js';
import { assertModules, putModules } from './initramfs-modules.js';
import { causeFields, type OperationKind } from './operation.js';

/** Runs the guest's own tool, then checks that the initramfs at `path` lists `modules`. */
const schema = z.object({
  op: z.literal('rebuild_initramfs'),
  ...causeFields,
  path: z.string(),
  kernel: z.string(),
  command: z.array(z.string()),
  modules: z.array(z.string()),
});
export type RebuildInitramfs = z.infer<typeof schema>;

export const rebuildInitramfs: OperationKind<RebuildInitramfs> = {
  op: 'rebuild_initramfs',
  whileRunning: false,
  schema,
  subject: ({ path }) => path,
  title: ({ path, command }) => ({ verb: 'rebuild', object: `${path}: ${command.join(' ')}` }),
  diff: ({ command }) => ({ text: null, remarks: [`run ${command.join(' ')}`] }),
  applyTo(draft, { path, modules }) {
    // The tool copies the guest's files again, as they are after the plan.
    putModules(draft, path, modules, () => ({}));
  },
  /** The tool overwrites the initramfs, so a copy is kept until the new one lists the drivers. */
  async execute(guest, { path, command, modules }, { signal }) {
    const backup = `${path}.hyper2kvm-before`;
    await guest.copy(path, backup);
    try {
      await guest.run(command);
      assertModules(path, await listInThread(await guest.read(path), signal), modules);
      await guest.remove(backup);
      const tool = command[0] ?? 'the guest';
      return [`${path}: rebuilt by ${tool}, ${modules.length} modules listed on reading back`];
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof Hyper2kvmError && error.code !== 'guest.call-failed') throw error;
      throw new Hyper2kvmError('fix.rebuild-failed', `${command.join(' ')} failed in the guest`, {
        cause: error,
      });
    }
  },
};
