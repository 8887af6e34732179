import { z } from 'zod';
import { pinnedContent, pinnedFileSchema } from './copy-driver.js';
import { causeFields, type OperationKind } from './operation.js';
import { putEntry, ROOT_OWNED } from './tree.js';
import { protect, refuseOccupied, writeProtected } from './windows-files.js';

/**
 * Writes what a Windows guest does at its first boot, and the program that does it: null where the text is a
 * batch file, and the operator's batch files that it starts. Only SYSTEM and Administrators may then change the
 * files and the `directories`, which are ours.
 */
const schema = z.object({
  op: z.literal('first_boot'),
  ...causeFields,
  path: z.string(),
  text: z.string(),
  program: pinnedFileSchema.nullable(),
  scripts: z.array(pinnedFileSchema),
  directories: z.array(z.string()),
});
export type FirstBoot = z.infer<typeof schema>;

export const firstBoot: OperationKind<FirstBoot> = {
  op: 'first_boot',
  whileRunning: false,
  schema,
  subject: ({ path }) => path,
  title: ({ path }) => ({ verb: 'create', object: path }),
  diff: ({ path, text, program, scripts }) => ({
    text: { path, before: null, after: text.replaceAll('\r\n', '\n') },
    remarks: [
      ...(program === null ? [] : [`copy hyper2kvm’s own ${program.path} (sha256 ${program.sha256})`]),
      ...scripts.map(
        ({ source, path: to, sha256 }) => `copy ${source} of this host -> ${to} (sha256 ${sha256})`,
      ),
      `  only SYSTEM and Administrators may change ${scripts.length === 0 ? 'it' : 'them'}`,
    ],
  }),
  applyTo({ tree }, { path, text, program, scripts, directories }) {
    for (const directory of directories)
      putEntry(tree, { path: directory, type: 'directory', mode: 0o755, size: 0, ...ROOT_OWNED });
    const content = Buffer.from(text);
    putEntry(tree, { path, type: 'file', mode: 0o755, content, size: content.length, ...ROOT_OWNED });
    for (const { path: to, size, sha256 } of [...(program === null ? [] : [program]), ...scripts])
      putEntry(tree, { path: to, type: 'file', mode: 0o755, size, sha256, ...ROOT_OWNED });
  },
  check(guest, { path, program, scripts, directories }) {
    const copied = [...(program === null ? [] : [program]), ...scripts];
    return refuseOccupied(guest, [path, ...copied.map((file) => file.path)], directories);
  },
  async execute(guest, { path, text, program, scripts, directories }, { signal }) {
    await writeProtected(guest, path, Buffer.from(text));
    for (const file of [...(program === null ? [] : [program]), ...scripts]) {
      signal.throwIfAborted();
      await writeProtected(guest, file.path, await pinnedContent(file));
    }
    // They exist now, with what is in them.
    for (const directory of directories) await protect(guest, directory, 'directory');
    return [`${path}: the first boot and its access rights read back as planned`];
  },
};
