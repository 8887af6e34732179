import { z } from 'zod';
import { sectionPath } from '../guest/unified-image.js';
import { causeFields, type OperationKind } from './operation.js';
import { putEntry, realPath } from './tree.js';

/** Copies a file inside the guest, creating parent directories (the UEFI fallback loader). */
const schema = z.object({
  op: z.literal('copy_file'),
  ...causeFields,
  from: z.string(),
  path: z.string(),
});
export type CopyFile = z.infer<typeof schema>;

export const copyFile: OperationKind<CopyFile> = {
  op: 'copy_file',
  whileRunning: true,
  schema,
  subject: ({ path }) => path,
  title: ({ from, path }) => ({ verb: 'copy', object: `${from} → ${path}` }),
  diff: ({ from, path }) => ({ text: null, remarks: [`copy ${from} -> ${path}`] }),
  applyTo({ tree }, operation) {
    const from = tree.get(operation.from);
    if (from === null) return;
    const path = realPath(tree, operation.path);
    putEntry(tree, { ...from, path });
    // The tree has the command line of a unified image as a separate file.
    const commandLine = tree.lstat(sectionPath(from.path, '.cmdline'));
    if (commandLine !== null) putEntry(tree, { ...commandLine, path: sectionPath(path, '.cmdline') });
  },
  async execute(guest, { from, path }) {
    await guest.copy(from, path);
    return [];
  },
  outcome: ({ from, path }) => ({ path, content: { copyOf: from } }),
};
