import { z } from 'zod';
import { causeFields, type OperationKind, textEncoding } from './operation.js';

/** Removes a file or a link. `before` is null for a link and if the text is unknown. */
const schema = z.object({
  op: z.literal('remove'),
  ...causeFields,
  path: z.string(),
  before: z.string().nullable(),
  encoding: textEncoding,
});
export type Remove = z.infer<typeof schema>;

export const remove: OperationKind<Remove> = {
  op: 'remove',
  whileRunning: true,
  schema,
  subject: ({ path }) => path,
  title: ({ path }) => ({ verb: 'remove', object: path }),
  diff: ({ path, before }) =>
    before === null
      ? { text: null, remarks: [`remove ${path}`] }
      : { text: { path, before, after: null }, remarks: [] },
  applyTo({ tree }, { path }) {
    const entry = tree.lstat(path);
    if (entry !== null) tree.remove(entry.path);
  },
  async execute(guest, { path }) {
    await guest.remove(path);
    return [];
  },
  outcome: ({ path }) => ({ path, content: null }),
};
