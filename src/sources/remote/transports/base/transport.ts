import type { Logger } from 'pino';
import type { Connection } from '../../../../config/connections.js';
import type { Hyper2kvmError } from '../../../../errors/error.js';
import type { UndoRecord } from '../../../../model/undo.js';
import type { Undoing } from './undoing.js';

/** A part of a file in bytes, `end` excluded. */
export interface ByteRange {
  start: number;
  end: number;
}

/** A file of the VM as the server describes it. */
export interface RemoteFile {
  /** Under which it is landed: a plain name, or one in a directory beside the VM's description. */
  name: string;
  /** Bytes. A transport refuses a file whose size it cannot tell: its space could not be reserved. */
  size: number;
  /** That `size` is only about right: of a stream that the server makes while it sends it. */
  isEstimate?: true;
  /** Another one means other bytes: ETag, or time of change. Null if the server has none. */
  validator: string | null;
  /** Whether parts of it can be asked for. */
  hasRanges: boolean;
  /** What holds data, in order; all else is zeros. Null if that is not known. */
  data: readonly ByteRange[] | null;
  /** For people: host and path. */
  origin: string;
  /** How long a step may take (paced.ts), of a server that has nothing to send while it reads zeros. */
  stepSeconds?: number;
  /**
   * Yields the bytes of a range, or with null those of the whole file. Throws `remote.*`: also when fewer came
   * than were asked for.
   */
  read(range: ByteRange | null, signal: AbortSignal): AsyncIterable<Buffer>;
}

/** A VM that a transport has found. */
export interface RemoteVm {
  /** `http`, `datastore`, for the report. */
  transport: string;
  /** What its hypervisor calls it, and how it came to be off; absent for files on a server. */
  identity?: { moref: string; instanceUuid: string | null; power: string };
  /** Its files' host, of which only so many are read at once. */
  host: string;
  files: RemoteFile[];
  /** Rejects with `remote.source-changed` if the VM was started or changed while its files were read. */
  confirm?(signal: AbortSignal): Promise<void>;
  /** When its disks had this content (ISO 8601), if that is before they were read. */
  pointInTime?: string;
  /**
   * Closes connections, and undoes what opening did on the server. After `broken` another attempt may follow,
   * which continues with what can be kept. Never rejects.
   */
  close(outcome: 'whole' | 'broken' | 'failed'): Promise<void>;
}

export interface TransportRequest {
  /** Paths on the server that are the VM, or its name in an inventory. */
  vm: readonly string[];
  transport: string;
  power: string;
}

export interface TransportContext {
  /** Requests at once. */
  parallel: number;
  signal: AbortSignal;
  log: Logger;
}

/** A host that data come from, as a check of its connection found it. */
export interface Reach {
  host: string;
  /** What it answered, for people; or why it cannot be used. */
  found: string | Hyper2kvmError;
}

/** A way to reach a VM elsewhere: a folder beside this file, and a line in registry.ts. */
export interface Transport<C extends Connection = Connection> {
  open(
    request: TransportRequest,
    connection: C,
    context: TransportContext,
    undoing: Undoing,
  ): Promise<RemoteVm>;
  /** Resolves and reaches every host that data may come from, and logs in where there is a login. */
  reach(connection: C, context: TransportContext): Promise<Reach[]>;
  /** Undoes what a record names; of a transport that makes something. Resolves also if it is gone already. */
  undo?(record: UndoRecord, connection: C, context: TransportContext): Promise<void>;
}
