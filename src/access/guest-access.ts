import type { Logger } from 'pino';
import type { Config } from '../config/schema.js';
import type { GuestReader } from './guest-reader.js';
import type { GuestWriter } from './guest-writer.js';

/** A VM that is off, by its disks. */
export interface GuestRequest {
  /** File names in the work directory: FLATTEN's images, qcow2, never written. */
  disks: readonly string[];
  /** Bytes of a logical sector, by disk; 512 where absent. */
  sectorSizes?: readonly number[];
  workDirectory: string;
  /** The drop, on which the images are built: absolute paths, also in the work directory only to be read. */
  drop: readonly string[];
  options: Config;
  signal: AbortSignal;
  log: Logger;
}

/**
 * A guest that has been reached, until `close`. Who opens it decides by what: appliance/open-appliance.ts by
 * a libguestfs appliance that has the disks.
 */
export interface GuestAccess {
  readonly reader: GuestReader;
  /** The same guest for a thread of ours, which reads it by asking here. */
  readonly port: GuestPort;
  /** `selinux`: the guest uses SELinux, so that new files need labels. */
  writer(options: { selinux: boolean }): GuestWriter;
  readonly capabilities: Capabilities;
  /** Bytes read and written on the guest's disks so far. */
  traffic(): Promise<{ read: number; written: number }>;
  /**
   * The clean end: everything unmounted and on the disks. Rejects where what was written may not be complete.
   */
  close(): Promise<void>;
  /**
   * At once, with everything that was started; resolves when all of it is gone. What was written is not to be
   * used.
   */
  kill(): Promise<void>;
}

/**
 * How a thread reads a guest that the main thread has reached: everything in a guest may be hostile, and what
 * is made of it must not keep the daemon from answering.
 */
export interface GuestPort {
  /** A module that exports `connectReader`. */
  module: string;
  /** Its first argument, a structured clone. */
  settings: unknown;
  /** Answers what the connected reader asks; both are of the same module. */
  answer(question: unknown): Promise<unknown>;
}

/** What a port's module exports. `ask` gets the answer to a question, or rejects as it did. */
export type ConnectReader = (settings: unknown, ask: (question: unknown) => Promise<unknown>) => GuestReader;

/** What one way of reaching a guest can do and another cannot. */
interface Capabilities {
  /** The guest does not run: nothing is mounted but what `mount` mounts. */
  offline: boolean;
  /** Null where the guest's own disks are written to. */
  layers: Layers | null;
  /** Null where freed blocks are not given back to the disk images. */
  trim: Trim | null;
}

export interface Layers {
  /**
   * By disk index, file names in the work directory: what was written is in them, the images below stay as
   * they were.
   */
  images: readonly string[];
  /**
   * Puts a further image on every disk: what was written before stays in the one below, what follows goes to
   * the returned files (`<suffix>-disk<N>.qcow2`). Filesystems must be unmounted.
   */
  add(suffix: string): Promise<string[]>;
}

export interface Trim {
  /** Bytes in use on the filesystem that is mounted there. */
  used(mountpoint: string): Promise<number>;
  trim(mountpoint: string): Promise<void>;
}
