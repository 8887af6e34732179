import type { Config } from '../../config/schema.js';
import type { DriverSet } from '../../model/driver-set.js';
import type { Warning } from '../../model/plan.js';

/** A program of this host for the guest. */
export interface HostProgram {
  source: string;
  size: number;
  sha256: string;
}

/** Package files in a `directory` on the host; `files` maps their names to SHA-256. */
export interface Packages {
  directory: string;
  files: readonly { file: string; sha256: string }[];
}

/** What fixers may give a guest from this host. */
export interface HostFiles {
  /** The operator's qemu-guest-agent packages for this guest, sorted; empty if there are none. */
  packages: Packages;
  /** What the operator's virtio-win has for a Windows guest; null without one. */
  drivers: DriverSet | null;
  /** Our own program for the first boot of a Windows guest; null for others, and if none was built. */
  firstBootProgram: HostProgram | null;
  /** The operator's batch files for that first boot, in their order. */
  firstBootScripts: readonly HostProgram[];
}

export const NO_HOST_FILES: HostFiles = {
  packages: { directory: '', files: [] },
  drivers: null,
  firstBootProgram: null,
  firstBootScripts: [],
};

/** What a family chooses its files by, beside the guest's identity. */
export interface HostFilesContext {
  config: Pick<Config, 'fix' | 'windows'>;
  /** INSPECT's warnings about the guest. */
  warnings: readonly Warning[];
  /** The firmware starts signed programs only. */
  secureBoot: boolean;
  signal: AbortSignal;
}
