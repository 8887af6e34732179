import type { Logger } from 'pino';
import type { Bandwidth } from './bandwidth.js';
import type { Meter } from './meter.js';

/** What landing a file needs beside the file. */
export interface LandingContext {
  /** Requests at once for one file. */
  parallel: number;
  /** Bytes of one request. */
  chunkBytes: number;
  /** Failures in a row, with nothing received in between, after which an attempt ends. */
  attempts: number;
  bandwidth: Bandwidth;
  meter: Meter;
  signal: AbortSignal;
  log: Logger;
  /** Called when bytes have been landed that a further attempt continues after. */
  advanced(): void;
}
