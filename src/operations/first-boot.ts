import { z } from 'zod';
import { pinnedContent, pinnedFileSchema } from './copy-driver.js';
import { causeFields, type OperationKind } from './operation.js';
import { putEntry, ROOT_OWNED } from './tree.js';
import { protect, refuseOccupied, writeProtected } from './windows-files.js';

/**
 * Writes what a Windows guest does at its first boot, and the program that does it: null where the text is a
 * batch file. Only SYSTEM and Administrators may then change the files and the `directories`, which are ours.
 */
const schema = z.object({
  op: z.literal('first_boot'),
  ...causeFields,
  path: z.string(),
  text: z.string(),
  program: pinnedFileSchema.nullable(),
  directories: z.array(z.string()),
});
export type FirstBoot = z.infer<typeof schema>;

export const firstBoot: OperationKind<FirstBoot> = {
  op: 'first_boot',
  whileRunning: false,
  schema,
  subject: ({ path }) => path,
  title: ({ path }) => ({ verb: 'create', object: path }),
  diff: ({ path, text, program }) => ({
    text: { path, before: null, after: text.replaceAll('\r\n', '\n') },
    remarks: [
      ...(program === null ? [] : [`copy hyper2kvm’s own ${program.path} (sha256 ${program.sha256})`]),
      '  only SYSTEM and Administrators may change it',
    ],
  }),
  applyTo({ tree }, { path, text, program, directories }) {
    for (const directory of directories)
      putEntry(tree, { path: directory, type: 'directory', mode: 0o755, size: 0, ...ROOT_OWNED });
    const content = Buffer.from(text);
    putEntry(tree, { path, type: 'file', mode: 0o755, content, size: content.length, ...ROOT_OWNED });
    if (program === null) return;
    const { size, sha256 } = program;
    putEntry(tree, { path: program.path, type: 'file', mode: 0o755, size, sha256, ...ROOT_OWNED });
  },
  check: (guest, { path, program, directories }) =>
    refuseOccupied(guest, program === null ? [path] : [path, program.path], directories),
  async execute(guest, { path, text, program, directories }, { signal }) {
    await writeProtected(guest, path, Buffer.from(text));
    signal.throwIfAborted();
    if (program !== null) await writeProtected(guest, program.path, await pinnedContent(program));
    // They exist now, with what is in them.
    for (const directory of directories) await protect(guest, directory, 'directory');
    return [`${path}: the first boot and its access rights read back as planned`];
  },
};
