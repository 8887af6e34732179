import { z } from 'zod';
import { causeFields, type OperationKind } from './operation.js';
import { putEntry, ROOT_OWNED, realPath } from './tree.js';

/** Creates or replaces a symbolic link (a unit masked with /dev/null). */
const schema = z.object({
  op: z.literal('symlink'),
  ...causeFields,
  path: z.string(),
  target: z.string(),
});
export type Symlink = z.infer<typeof schema>;

export const symlink: OperationKind<Symlink> = {
  op: 'symlink',
  whileRunning: true,
  schema,
  subject: ({ path }) => path,
  title: ({ path, target }) => ({ verb: 'link', object: `${path} → ${target}` }),
  diff: ({ path, target }) => ({ text: null, remarks: [`link ${path} -> ${target}`] }),
  applyTo({ tree }, { path, target }) {
    const size = target.length;
    putEntry(tree, {
      path: realPath(tree, path),
      type: 'symlink',
      mode: 0o777,
      size,
      target,
      ...ROOT_OWNED,
    });
  },
  async execute(guest, { path, target }) {
    await guest.symlink(path, target);
    return [];
  },
};
