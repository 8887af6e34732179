import type { Boot, BootLevel } from '../../model/boot.js';

export interface LevelPattern {
  level: BootLevel;
  pattern: RegExp;
  /** Also printed by the system of an initramfs: says nothing until the root was switched. */
  afterInitramfs?: boolean;
}

/**
 * One known way in which a boot fails. `settleSeconds` gives the guest time to say more, or to go on after
 * all.
 */
export interface Signature {
  /** Stable: `validate.<signature>` is the error code. */
  signature: string;
  pattern: RegExp;
  /** Reaching a level above this one disproves the failure. */
  within: BootLevel;
  settleSeconds: number;
  /** On an overloaded host a healthy guest may end so: it is tried again alone. */
  underLoad?: boolean;
  /** Neither a failure nor a success: a person is needed. */
  inconclusive?: boolean;
  meaning: string;
  advice: string;
}

export type GuestReport = NonNullable<Boot['guest']>;

/** What a guest that was prepared for it prints about itself on the serial console, between two lines. */
export interface ReportFormat {
  begin: string;
  end: string;
  /** By the guest's own word it is up, which is as good as a login prompt. Pure. */
  isUp(lines: readonly string[]): boolean;
  /** Pure, for any text. */
  parse(text: string): GuestReport;
}

/** How the boot of a family's guests looks on consoles and screens. */
export interface BootPatterns {
  levels: readonly LevelPattern[];
  /** Between the two an initramfs runs, which prints what the guest's own system prints too. */
  initramfs: { begins: RegExp; ends: RegExp };
  /** The more specific stands above the more general: of several that were seen, the first is the verdict. */
  signatures: readonly Signature[];
  /** What the guest's kernel tells QEMU when it panics (pvpanic). */
  panic: Signature;
  report: ReportFormat;
}
