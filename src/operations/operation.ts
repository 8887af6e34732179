import { z } from 'zod';
import type { GuestWriter } from '../access/guest-writer.js';
import type { InitramfsListing } from '../guest/initramfs-listing.js';
import type { GuestTree, GuestTreeDraft } from '../guest/tree.js';
import type { Identity } from '../model/identity.js';

/** In every operation beside the fields of its kind: which fixer plans it, and why. */
export const causeFields = { fixer: z.string(), reason: z.string() };

/** Text is UTF-8, or Latin-1 where the file's bytes are not valid UTF-8, so that none of them is lost. */
export const textEncoding = z.enum(['utf8', 'latin1']);

interface AnyOperation {
  op: string;
  fixer: string;
  reason: string;
}

/** The guest as PLAN knows it. */
export interface GuestState {
  identity: Identity;
  tree: GuestTree;
}

/**
 * The guest as it will be, while operations are planned: the tree is changed in place, the identity is
 * replaced.
 */
export interface GuestDraft {
  identity: Identity;
  readonly tree: GuestTreeDraft;
}

/** What is done to the text of one file; null where it is not there before or afterwards. */
interface TextChange {
  path: string;
  before: string | null;
  after: string | null;
}

interface OperationDiff {
  /** Null where there is no text to show. */
  text: TextChange | null;
  /** What the text does not show, line by line. */
  remarks: readonly string[];
}

/**
 * What must be found at `path` when all operations are done. A later operation's word on the same path
 * counts.
 */
export interface Outcome {
  path: string;
  /** The content, null: nothing is there, or the path of the file that it is a copy of. */
  content: Buffer | null | { copyOf: string };
}

export interface ExecuteContext {
  signal: AbortSignal;
  /** What each initramfs holds, by guest path: INSPECT's listing and what was appended since. */
  listings: Record<string, InitramfsListing>;
}

/**
 * One kind of operation: what FIX may do to a guest, and everything that the product knows about it. An
 * operation is plain JSON. Its paths are absolute in the guest.
 */
export interface OperationKind<O extends AnyOperation> {
  op: O['op'];
  schema: z.ZodType<O> & z.core.$ZodTypeDiscriminable;
  /**
   * The guest path that it changes, or the command that it runs: plan.diff shows together what has the same.
   */
  subject(operation: O): string;
  /** In a few words, unescaped. */
  title(operation: O): { verb: string; object: string };
  diff(operation: O): OperationDiff;
  /** Makes the draft what the guest is after the operation. */
  applyTo(draft: GuestDraft, operation: O): void;
  /** Does it. Returns what was read back and found right, one line each. */
  execute(guest: GuestWriter, operation: O, context: ExecuteContext): Promise<string[]>;
  outcome?(operation: O): Outcome | null;
}
