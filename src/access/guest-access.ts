import type { Logger } from 'pino';
import type { Config } from '../config/schema.js';
import type { GuestReader } from './guest-reader.js';
import type { GuestWriter } from './guest-writer.js';

/** A VM that is off, by its disks. */
export interface GuestRequest {
  /** File names in the work directory: FLATTEN's qcow2 images, which are never written to. */
  disks: readonly string[];
  /** Bytes of a logical sector, by disk; 512 where absent. */
  sectorSizes?: readonly number[];
  workDirectory: string;
  /**
   * The drop that the images are based on: absolute paths, which even inside the work directory are only
   * read.
   */
  drop: readonly string[];
  options: Config;
  signal: AbortSignal;
  log: Logger;
}

/**
 * Access to a guest, until `close`. The opener decides how: appliance/open-appliance.ts uses a libguestfs
 * appliance with the disks attached.
 */
export interface GuestAccess {
  readonly reader: GuestReader;
  /** Access to the same guest for one of our threads, which sends its reads here. */
  readonly port: GuestPort;
  /** `selinux`: the guest uses SELinux, so new files need labels. */
  writer(options: { selinux: boolean }): GuestWriter;
  readonly capabilities: Capabilities;
  /** Bytes read from and written to the guest's disks so far. */
  traffic(): Promise<{ read: number; written: number }>;
  /**
   * Closes cleanly: everything is unmounted and written to the disks. Rejects if the writes may be
   * incomplete.
   */
  close(): Promise<void>;
  /**
   * Stops at once, with everything that was started; resolves when all of it has exited. What was written
   * must not be used.
   */
  kill(): Promise<void>;
}

/**
 * Lets a thread read a guest that the main thread has opened: everything in a guest may be hostile, and
 * processing it must not block the daemon.
 */
export interface GuestPort {
  /** A module that exports `connectReader`. */
  module: string;
  /** Its first argument, a structured clone. */
  settings: unknown;
  /** Answers the requests of the connected reader; both come from the same module. */
  answer(question: unknown): Promise<unknown>;
}

/** What a port's module exports. `ask` resolves with the answer to a request, or rejects with its error. */
export type ConnectReader = (settings: unknown, ask: (question: unknown) => Promise<unknown>) => GuestReader;

/** What some kinds of access support and others do not. */
interface Capabilities {
  /** The guest is not running: only what `mount` mounts is mounted. */
  offline: boolean;
  /** Null if the guest's own disks are written to. */
  layers: Layers | null;
  /** Null if freed blocks are not returned to the disk images. */
  trim: Trim | null;
}

export interface Layers {
  /**
   * File names in the work directory, by disk index: they contain what was written; the images below are
   * unchanged.
   */
  images: readonly string[];
  /**
   * Adds another image on every disk: what was written before stays in the one below, and later writes go to
   * the returned files (`<suffix>-disk<N>.qcow2`). Filesystems must be unmounted.
   */
  add(suffix: string): Promise<string[]>;
}

export interface Trim {
  /** Bytes in use on the filesystem that is mounted there. */
  used(mountpoint: string): Promise<number>;
  trim(mountpoint: string): Promise<void>;
}
