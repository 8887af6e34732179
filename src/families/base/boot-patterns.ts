import type { Boot, BootLevel } from '../../model/boot.js';

export interface LevelPattern {
  level: BootLevel;
  pattern: RegExp;
  /** An initramfs prints this too, so it only counts after the switch to the real root. */
  afterInitramfs?: boolean;
}

/** A known way in which a boot fails. `settleSeconds` leaves the guest time to print more, or to recover. */
export interface Signature {
  /** Stable: `validate.<signature>` is the error code. */
  signature: string;
  pattern: RegExp;
  /** Reaching a level above this one disproves the failure. */
  within: BootLevel;
  settleSeconds: number;
  /** A busy host can cause it. */
  underLoad?: boolean;
  /** Lines that name what failed, in their first group: mount points, devices. */
  names?: RegExp;
  /** Neither a failure nor a success: someone has to act. */
  inconclusive?: boolean;
  meaning: string;
  advice: string;
}

export type GuestReport = NonNullable<Boot['guest']>;

/** The report that a prepared guest prints about itself on the serial console, between two marker lines. */
export interface ReportFormat {
  begin: string;
  end: string;
  /** True where the report says that the system is up, which counts as much as a login prompt. Pure. */
  isUp(lines: readonly string[]): boolean;
  /** Parses any text. Pure. */
  parse(text: string): GuestReport;
}

/** What the boot of a family's guests looks like on consoles and screens. */
export interface BootPatterns {
  levels: readonly LevelPattern[];
  /** An initramfs runs between these two, and prints much of what the guest's own system prints. */
  initramfs: { begins: RegExp; ends: RegExp };
  /** Ordered from specific to general: if several match, the first is the verdict. */
  signatures: readonly Signature[];
  /** The panic that the guest's kernel reports to QEMU (pvpanic). */
  panic: Signature;
  /** Null if its guests print no report. */
  report: ReportFormat | null;
}
