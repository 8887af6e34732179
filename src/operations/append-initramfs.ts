import { z } from 'zod';
import { sizeOf } from '../access/guest-reader.js';
import type { GuestWriter } from '../access/guest-writer.js';
import { Hyper2kvmError } from '../errors/error.js';
import { buildAppendix } from '../guest/initramfs-appendix.js';
import { type InitramfsListing, listInitramfs } from '../guest/initramfs-listing.js';
import { listInThread } from '../guest/list-in-thread.js';
import { assertModules, missingModules, putModules, unprovenInitramfs } from './initramfs-modules.js';
import { causeFields, type ExecuteContext, type OperationKind } from './operation.js';

/**
 * Appends one newc archive with `files` (guest paths under the kernel's module directory) to the initramfs at
 * `path`. The kernel unpacks concatenated archives in order, so the missing drivers are added to those that
 * are there (Linux: driver-api/early-userspace). They go under the initramfs's directory `lib`. `modules` are
 * the names that must be listed afterwards.
 */
const schema = z.object({
  op: z.literal('append_initramfs'),
  ...causeFields,
  path: z.string(),
  kernel: z.string(),
  lib: z.enum(['lib', 'usr/lib']),
  files: z.array(z.string()),
  modules: z.array(z.string()),
  /**
   * Configuration files inside that the archive replaces, by their path there; null replaces a file by a link
   * whose target does not exist.
   */
  replace: z.array(z.object({ path: z.string(), text: z.string().nullable() })).optional(),
});
export type AppendInitramfs = z.infer<typeof schema>;

export const appendInitramfs: OperationKind<AppendInitramfs> = {
  op: 'append_initramfs',
  whileRunning: true,
  schema,
  subject: ({ path }) => path,
  title: ({ path, modules }) => ({ verb: 'append to', object: `${path}: ${modules.join(', ')}` }),
  diff: ({ path, files, replace = [] }) => ({
    text: null,
    remarks: [`append to ${path}:`, ...files.map((file) => `  ${file}`), ...replace.flatMap(replacement)],
  }),
  applyTo(draft, { path, modules, replace = [] }) {
    putModules(draft, path, modules, (before) => {
      const texts = new Map(Object.entries(before));
      for (const { path: copy, text } of replace) {
        if (text === null) texts.delete(copy);
        else texts.set(copy, text);
      }
      return Object.fromEntries(texts);
    });
  },
  async execute(guest, operation, context) {
    const { path, files, lib, replace } = operation;
    const offset = await sizeOf(guest, path);
    const listing = context.listings[path];
    if (listing === undefined || listing.size !== offset)
      return [await provenAnew(guest, operation, context)];
    const contents = [];
    for (const file of files) contents.push({ path: file, content: await guest.read(file) });
    const appendix = buildAppendix(contents, lib, listing, replace);
    await guest.append(path, appendix, offset);
    const appended = await readBack(guest, operation, offset, appendix, context.signal);
    // Kernels of one flavour share an initramfs (Arch), so the next archive is appended after this one.
    context.listings[path] = withAppended(listing, appended);
    return [proofOf(operation, appendix)];
  },
};

/**
 * Returns the remark for a file inside an initramfs: it is not a file of the guest that patch(1) could find.
 */
function replacement({ path, text }: { path: string; text: string | null }): string[] {
  if (text === null) return [`  without its ${path}`];
  const lines = text.trimEnd().split('\n');
  return [`  with its ${path} as`, ...lines.map((line) => `  | ${line}`)];
}

/**
 * Checks an image that a rebuild before this one may have replaced, with all drivers in it (kernel-install's
 * hooks).
 */
async function provenAnew(
  guest: GuestWriter,
  { path, modules, replace }: AppendInitramfs,
  { signal }: ExecuteContext,
): Promise<string> {
  const { unreadable, files } = await listInThread(await guest.read(path), signal);
  if (replace === undefined && unreadable === null && missingModules(files, modules).length === 0)
    return `${path}: rebuilt by the guest, ${modules.length} modules listed on reading back`;
  throw new Hyper2kvmError('fix.initramfs-changed', `${path} is not the file that INSPECT listed`);
}

const modulesIn = ({ files }: AppendInitramfs) => files.filter((file) => /\.ko(\.\w+)?$/.test(file));

/**
 * Lists the appended bytes as read back from the guest's filesystem, with offsets from where they begin.
 * INSPECT listed what was in the file before, which did not change: only its end was written.
 */
async function readBack(
  guest: GuestWriter,
  operation: AppendInitramfs,
  offset: number,
  appendix: Buffer,
  signal: AbortSignal,
): Promise<InitramfsListing> {
  const { path, replace = [] } = operation;
  const size = await sizeOf(guest, path);
  const readBack = await guest.readAt(path, offset, appendix.length);
  if (size !== offset + appendix.length || !readBack.equals(appendix)) {
    throw unprovenInitramfs(path, 'the appended bytes differ when read back');
  }
  const listing = await listInitramfs(readBack, signal);
  assertModules(path, listing, modulesIn(operation));
  const stale = replace.find(({ path: copy, text }) =>
    text === null ? listing.links[copy] === undefined : listing.texts[copy] !== text,
  );
  if (stale !== undefined) throw unprovenInitramfs(path, `${stale.path} is not replaced`);
  return listing;
}

function proofOf(operation: AppendInitramfs, appendix: Buffer): string {
  const { path, replace = [] } = operation;
  const others = replace.length === 0 ? '' : `, ${replace.map((copy) => copy.path).join(', ')} replaced`;
  const modules = modulesIn(operation).length;
  return `${path}: ${appendix.length} bytes appended, ${modules} modules listed on reading back${others}`;
}

/**
 * Returns the file's listing with `appended` added. Links and directories that exist already are not created
 * again by the next archive.
 */
function withAppended(listing: InitramfsListing, appended: InitramfsListing): InitramfsListing {
  const both = (a: readonly string[], b: readonly string[]) => [...new Set([...a, ...b])].sort();
  return {
    ...listing,
    size: listing.size + appended.size,
    segments: [
      ...listing.segments,
      ...appended.segments.map((segment) => ({ ...segment, offset: listing.size + segment.offset })),
    ],
    files: both(listing.files, appended.files),
    directories: both(listing.directories, appended.directories),
    links: { ...listing.links, ...appended.links },
    texts: { ...listing.texts, ...appended.texts },
  };
}
