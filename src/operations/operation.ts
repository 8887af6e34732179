import { z } from 'zod';
import type { GuestReader } from '../access/guest-reader.js';
import type { GuestWriter } from '../access/guest-writer.js';
import type { InitramfsListing } from '../guest/initramfs-listing.js';
import type { CapturedHive } from '../guest/registry/captured.js';
import type { GuestTree, GuestTreeDraft } from '../guest/tree.js';
import type { Identity } from '../model/identity.js';

/** The fields of every operation beside those of its kind: which fixer plans it, and why. */
export const causeFields = { fixer: z.string(), reason: z.string() };

/** UTF-8, or Latin-1 for a file whose bytes are not valid UTF-8, so that no byte is lost. */
export const textEncoding = z.enum(['utf8', 'latin1']);

interface AnyOperation {
  op: string;
  fixer: string;
  reason: string;
}

/** What INSPECT captured of a guest's configuration. */
export interface Configuration {
  tree: GuestTree;
  /** Hives of Windows; empty for other systems. */
  registry: readonly CapturedHive[];
}

/** The guest as PLAN knows it. */
export interface GuestState<I extends Identity = Identity> extends Configuration {
  identity: I;
}

/** The guest as planned so far: the tree is changed in place, identity and registry are replaced. */
export interface GuestDraft<I extends Identity = Identity> {
  identity: I;
  readonly tree: GuestTreeDraft;
  registry: readonly CapturedHive[];
}

/** A change to the text of one file; null if it does not exist before or afterwards. */
interface TextChange {
  path: string;
  before: string | null;
  after: string | null;
}

interface OperationDiff {
  /** Null if there is no text to show. */
  text: TextChange | null;
  /** What the text does not show, line by line. */
  remarks: readonly string[];
}

/**
 * What must be found at `path` when all operations are done. A later operation on the same path overrides it.
 */
export interface Outcome {
  path: string;
  /** The content, null if nothing must be there, or the path of the file that it is a copy of. */
  content: Buffer | null | { copyOf: string };
}

export interface ExecuteContext {
  signal: AbortSignal;
  /** The listing of each initramfs by guest path: INSPECT's, and what was appended since. */
  listings: Record<string, InitramfsListing>;
}

/**
 * A kind of operation: something FIX may do to a guest, and everything that the product knows about it. An
 * operation is plain JSON. Its paths are absolute in the guest.
 */
export interface OperationKind<O extends AnyOperation> {
  op: O['op'];
  /**
   * True if it can be done to a guest that still runs on its old hypervisor: it changes files only, each of
   * them at once, and can be undone.
   */
  whileRunning: boolean;
  schema: z.ZodType<O> & z.core.$ZodTypeDiscriminable;
  /**
   * Returns what it changes: a guest path, a command, values of a hive. plan.diff groups operations by it.
   */
  subject(operation: O): string;
  /** Returns a short title, not escaped. */
  title(operation: O): { verb: string; object: string };
  diff(operation: O): OperationDiff;
  /** Changes the draft to the guest after the operation. */
  applyTo(draft: GuestDraft, operation: O): void;
  /**
   * Rejects if it cannot be executed as things are in the guest. Asked of all operations before the first one is
   * executed, so that a refused guest is not half changed.
   */
  check?(guest: GuestReader, operation: O): Promise<void>;
  /** Executes the operation. Returns what was read back and found correct, one line each. */
  execute(guest: GuestWriter, operation: O, context: ExecuteContext): Promise<string[]>;
  outcome?(operation: O): Outcome | null;
  /** Returns one operation that does the same as two in a row, in less time; null if there is none. */
  merge?(first: O, second: O): O | null;
}
