/** What `inject.ts` does to one call of a process, given in HYPER2KVM_FAULT as JSON. */
export interface FaultPlan {
  /** Only calls on paths below this directory count (and all calls of the database and of spawn). */
  under: string;
  /**
   * Which calls are counted: `change` is every call that changes a file system or the database, or makes it
   * durable.
   */
  group: 'file' | 'database' | 'spawn' | 'change';
  /** Only calls of this function count. */
  call?: string;
  /** The call that is hit, from 1. */
  nth: number;
  /** An errno that the call fails with, or death by SIGKILL before or after the call took effect. */
  action: Errno | 'kill-before' | 'kill-after';
}

export const ERRNOS = ['ENOSPC', 'EIO', 'EMFILE', 'EINTR', 'EROFS'] as const;
export type Errno = (typeof ERRNOS)[number];

export const FAULT_VARIABLE = 'HYPER2KVM_FAULT';
/** The `msg` of the line that the injector writes to the log when it strikes. */
export const FAULT_MESSAGE = 'fault injected';
