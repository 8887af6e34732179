import { Hyper2kvmError } from '../../errors/error.js';
import { buildAppendix } from '../../guest/initramfs-appendix.js';
import type { InitramfsListing } from '../../guest/initramfs-listing.js';
import { listInThread } from '../../guest/list-in-thread.js';
import type { Operation } from '../../model/operation.js';
import type { FixTarget } from './guest-writer.js';
import { installPackages } from './install-packages.js';
import { missingModules, proveAppended, proveRebuilt } from './prove-initramfs.js';

export interface Execution {
  target: FixTarget;
  signal: AbortSignal;
  /** What INSPECT listed in each initramfs, by guest path. */
  listings: Record<string, InitramfsListing>;
  onStep(done: number, operation: Operation): void;
}

/** Executes the operations in their order. Returns what was read back and proven on the way. Any failure stops it: the overlay is thrown away. */
export async function execute(operations: readonly Operation[], execution: Execution): Promise<string[]> {
  const proofs: string[] = [];
  for (const [index, operation] of operations.entries()) {
    execution.signal.throwIfAborted();
    execution.onStep(index, operation);
    proofs.push(...(await executeOne(operation, execution)));
  }
  return proofs;
}

async function executeOne(operation: Operation, execution: Execution): Promise<string[]> {
  const { target, signal } = execution;
  switch (operation.op) {
    case 'write_file': {
      const content = Buffer.from(operation.after, operation.encoding);
      if (operation.before === null) await target.create(operation.path, content, operation.mode);
      else await target.rewrite(operation.path, content);
      return [];
    }
    case 'remove':
      await target.remove(operation.path);
      return [];
    case 'symlink':
      await target.symlink(operation.path, operation.target);
      return [];
    case 'copy_file':
      await target.copy(operation.from, operation.path);
      return [];
    case 'append_initramfs':
      return [await appendInitramfs(operation, execution)];
    case 'rebuild_initramfs':
      return [await rebuildInitramfs(operation, target, signal)];
    case 'install_packages':
      return [await installPackages(operation, target)];
    case 'run':
      await target.run(operation.command);
      return [];
  }
}

type Append = Extract<Operation, { op: 'append_initramfs' }>;
type Rebuild = Extract<Operation, { op: 'rebuild_initramfs' }>;

/** The kernel unpacks concatenated archives in order, so the missing drivers go behind what is there (docs: driver-api/early-userspace). */
async function appendInitramfs(operation: Append, { target, signal, listings }: Execution): Promise<string> {
  const offset = await target.size(operation.path);
  const listing = listings[operation.path];
  if (listing === undefined || listing.size !== offset) {
    const proof = await provenAnew(operation, target, signal);
    if (proof !== null) return proof;
    throw new Hyper2kvmError(
      'fix.initramfs-changed',
      `${operation.path} is not the file that INSPECT listed`,
      {
        advice: 'Retry from INSPECT: `hyper2kvm retry JOB --from inspect`.',
      },
    );
  }
  const files = [];
  for (const path of operation.files) files.push({ path, content: await target.read(path) });
  const appendix = buildAppendix(files, operation.lib, listing, operation.replace);
  await target.append(operation.path, appendix, offset);
  const { proof, appended } = await proveAppended(operation, target, offset, appendix, signal);
  // Kernels of one flavour share an initramfs (Arch): the next archive goes behind this one.
  listings[operation.path] = withAppended(listing, appended);
  return proof;
}

/** A rebuild before this may have made a unified image anew, with all drivers in it (kernel-install's hooks). */
async function provenAnew(operation: Append, target: FixTarget, signal: AbortSignal): Promise<string | null> {
  const listing = await listInThread(await target.read(operation.path), signal);
  if (operation.replace !== undefined || listing.unreadable !== null) return null;
  if (missingModules(listing.files, operation.modules).length > 0) return null;
  return `${operation.path}: made anew by the guest, ${operation.modules.length} modules listed on reading back`;
}

/** What the file lists with `appended` behind it; link and directory entries that are there already are not made again by the next archive. */
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

/** The guest's own tool. It writes where the initramfs was, so a copy is kept until the new one lists the drivers. */
async function rebuildInitramfs(operation: Rebuild, target: FixTarget, signal: AbortSignal): Promise<string> {
  const backup = `${operation.path}.hyper2kvm-before`;
  await target.copy(operation.path, backup);
  try {
    await target.run(operation.command);
    const proof = await proveRebuilt(operation, target, signal);
    await target.remove(backup);
    return proof;
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof Hyper2kvmError && error.code !== 'guest.call-failed') throw error;
    throw new Hyper2kvmError('fix.rebuild-failed', `${operation.command.join(' ')} failed in the guest`, {
      advice:
        'Use fix.initramfs = "append", which runs nothing of the guest, or repair the guest’s initramfs tool.',
      cause: error,
    });
  }
}
