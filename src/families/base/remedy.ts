import type { JobOptions } from '../../config/schema.js';
import type { Boot } from '../../model/boot.js';
import type { Identity } from '../../model/identity.js';
import type { Devices } from '../../model/plan.js';

/** A boot that failed or lacks something, and what the guest was booted with. */
export interface FailedBoot {
  boot: Boot;
  identity: Identity;
  devices: Devices;
  /** Those of the boot's plan. */
  options: JobOptions;
}

/** What a remedy changes. */
interface Change {
  /** Values by dotted key, as `retry --set` would set them. */
  options: Record<string, string | string[]>;
  /** What is done, as a clause after the reason: "the initramfs is built again by the guest’s own tool". */
  does: string;
}

/** Another plan for a boot that failed in a known way. */
export interface Remedy {
  name: string;
  /** Signatures of failures, and codes of warnings, that it is for. */
  signatures: readonly string[];
  /** For docs/failures.md. */
  description: string;
  /**
   * Returns what to try, in order; nothing if it does not fit the guest, or was part of the plan that failed. Pure.
   */
  change(failed: FailedBoot): Change[];
}
