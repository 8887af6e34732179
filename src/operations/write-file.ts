import { z } from 'zod';
import { causeFields, type OperationKind, textEncoding } from './operation.js';
import { putEntry, ROOT_OWNED, realPath } from './tree.js';

/**
 * Rewrites a file in place (same inode, owner, mode, xattrs) if `before` is not null, otherwise creates it
 * with `mode`, root:root.
 */
const schema = z.object({
  op: z.literal('write_file'),
  ...causeFields,
  path: z.string(),
  before: z.string().nullable(),
  after: z.string(),
  encoding: textEncoding,
  mode: z.int(),
});
export type WriteFile = z.infer<typeof schema>;

const contentOf = ({ after, encoding }: WriteFile) => Buffer.from(after, encoding);

export const writeFile: OperationKind<WriteFile> = {
  op: 'write_file',
  whileRunning: true,
  schema,
  subject: ({ path }) => path,
  title: ({ before, path }) => ({ verb: before === null ? 'create' : 'change', object: path }),
  diff: ({ path, before, after }) => ({ text: { path, before, after }, remarks: [] }),
  applyTo({ tree }, operation) {
    const content = contentOf(operation);
    const path = realPath(tree, operation.path);
    const fresh = { path, type: 'file', mode: operation.mode, ...ROOT_OWNED } as const;
    putEntry(tree, { ...(tree.get(operation.path) ?? fresh), content, size: content.length });
  },
  async execute(guest, operation) {
    const { path, before, mode } = operation;
    if (before === null) await guest.create(path, contentOf(operation), mode);
    else await guest.rewrite(path, contentOf(operation));
    return [];
  },
  outcome: (operation) => ({ path: operation.path, content: contentOf(operation) }),
};
