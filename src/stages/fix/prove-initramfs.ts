import { Hyper2kvmError } from '../../errors/error.js';
import { type InitramfsListing, listInitramfs, moduleName } from '../../guest/initramfs-listing.js';
import { listInThread } from '../../guest/list-in-thread.js';
import type { Operation } from '../../model/operation.js';
import type { FixTarget } from './guest-writer.js';

type Append = Extract<Operation, { op: 'append_initramfs' }>;
type Rebuild = Extract<Operation, { op: 'rebuild_initramfs' }>;

/**
 * Reads the appended bytes back from the guest's filesystem and lists them (`appended`, offsets from where they begin). What was in the file before was listed by INSPECT and did not change: only its end
 * was written.
 */
export async function proveAppended(
  operation: Append,
  target: FixTarget,
  offset: number,
  appendix: Buffer,
  signal: AbortSignal,
): Promise<{ proof: string; appended: InitramfsListing }> {
  const size = await target.size(operation.path);
  const readBack = await target.readAt(operation.path, offset, appendix.length);
  if (size !== offset + appendix.length || !readBack.equals(appendix)) {
    throw unproven(operation.path, 'what was appended reads back differently');
  }
  const listing = await listInitramfs(readBack, signal);
  const expected = operation.files.filter((file) => /\.ko(\.\w+)?$/.test(file));
  const missing = missingModules(listing.files, expected.map(moduleName));
  if (listing.unreadable !== null || missing.length > 0) {
    throw unproven(operation.path, listing.unreadable ?? `it does not list ${missing.join(', ')}`);
  }
  const replaced = operation.replace ?? [];
  const stale = replaced.filter(({ path, text }) =>
    text === null ? listing.links[path] === undefined : listing.texts[path] !== text,
  );
  if (stale.length > 0) throw unproven(operation.path, `${stale[0]?.path} is not replaced`);
  const others = replaced.length === 0 ? '' : `, ${replaced.map(({ path }) => path).join(', ')} replaced`;
  const proof = `${operation.path}: ${appendix.length} bytes appended, ${expected.length} modules listed on reading back${others}`;
  return { proof, appended: listing };
}

export async function proveRebuilt(
  operation: Rebuild,
  target: FixTarget,
  signal: AbortSignal,
): Promise<string> {
  const listing = await listInThread(await target.read(operation.path), signal);
  const missing = missingModules(listing.files, operation.modules);
  if (listing.unreadable !== null || missing.length > 0) {
    throw unproven(operation.path, listing.unreadable ?? `it does not list ${missing.join(', ')}`);
  }
  return `${operation.path}: rebuilt by ${operation.command[0] ?? 'the guest'}, ${operation.modules.length} modules listed on reading back`;
}

/** Those of `wanted` that are not among the listed files. */
export function missingModules(files: readonly string[], wanted: readonly string[]): string[] {
  const listed = new Set(files.map(moduleName));
  return wanted.filter((name) => !listed.has(moduleName(name)));
}

function unproven(path: string, why: string): Hyper2kvmError {
  return new Hyper2kvmError('fix.initramfs-unproven', `the drivers in ${path} are not proven: ${why}`, {
    advice: 'Retry with fix.initramfs = "rebuild" (`hyper2kvm retry JOB --set fix.initramfs=rebuild`).',
  });
}
