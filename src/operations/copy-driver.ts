import { createHash } from 'node:crypto';
import { z } from 'zod';
import { Hyper2kvmError } from '../errors/error.js';
import { readSmallFile } from '../files/small-file.js';
import { causeFields, type OperationKind } from './operation.js';
import { putEntry, ROOT_OWNED } from './tree.js';
import { protect, refuseOccupied, writeProtected } from './windows-files.js';

/** A file of this host for the guest: FIX takes exactly what PLAN saw. */
export const pinnedFileSchema = z.object({
  source: z.string(),
  size: z.int(),
  sha256: z.string(),
  path: z.string(),
});

/**
 * Copies a package of the operator's virtio-win into a Windows guest: `source` is a path on the host, `path` one
 * in the guest as it is spelled there. FIX takes exactly what PLAN saw, by SHA-256. Only SYSTEM and
 * Administrators may then change the files, and the `directories` that are new or ours.
 */
const schema = z.object({
  op: z.literal('copy_driver'),
  ...causeFields,
  package: z.string(),
  /** In virtio-win: `viostor/w10/amd64`. */
  folder: z.string(),
  version: z.string().nullable(),
  signer: z.string().nullable(),
  files: z.array(pinnedFileSchema),
  directories: z.array(z.string()),
});
export type CopyDriver = z.infer<typeof schema>;

export const copyDriver: OperationKind<CopyDriver> = {
  op: 'copy_driver',
  whileRunning: false,
  schema,
  subject: ({ package: name, files }) => [name, ...files.map(({ path }) => path)].join('\0'),
  title: ({ package: name, version }) => ({
    verb: 'copy',
    object: `driver ${name}${version === null ? '' : ` ${version}`}`,
  }),
  diff: ({ package: name, folder, version, signer, files, directories }) => ({
    text: null,
    remarks: [
      `copy ${name}${version === null ? '' : ` ${version}`} from ${folder} of virtio-win, ${
        signer === null ? 'without a signed catalogue' : `signed by ${signer}`
      }`,
      ...directories.map((path) => `  ${path}/`),
      ...files.map(({ path, sha256 }) => `  ${path} (sha256 ${sha256})`),
      '  only SYSTEM and Administrators may change them',
    ],
  }),
  applyTo({ tree }, { files, directories }) {
    for (const path of directories)
      putEntry(tree, { path, type: 'directory', mode: 0o755, size: 0, ...ROOT_OWNED });
    for (const { path, size, sha256 } of files)
      putEntry(tree, { path, type: 'file', mode: 0o755, size, sha256, ...ROOT_OWNED });
  },
  check: (guest, { files, directories }) =>
    refuseOccupied(
      guest,
      files.map(({ path }) => path),
      directories,
    ),
  async execute(guest, { package: name, files, directories }, { signal }) {
    for (const file of files) {
      signal.throwIfAborted();
      await writeProtected(guest, file.path, await pinnedContent(file));
    }
    // They exist now, with what is in them.
    for (const directory of directories) await protect(guest, directory, 'directory');
    return [`${name}: ${files.length} files and their access rights read back as planned`];
  },
};

/** Returns the content that PLAN saw. Throws `fix.drivers-changed`. */
export async function pinnedContent({
  source,
  size,
  sha256,
}: z.infer<typeof pinnedFileSchema>): Promise<Buffer> {
  const content = await readSmallFile(source, size).catch((error: unknown) => {
    throw changed(source, error);
  });
  if (createHash('sha256').update(content).digest('hex') !== sha256) throw changed(source);
  return content;
}

function changed(source: string, cause?: unknown): Hyper2kvmError {
  return new Hyper2kvmError('fix.drivers-changed', `${source} was changed or removed after PLAN`, { cause });
}
