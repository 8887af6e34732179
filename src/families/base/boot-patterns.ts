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
  /** What a picture of the screen must show instead (`ScreenSeen.kind`). */
  picture?: string;
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

/** A picture of the screen: three bytes a pixel, row by row. */
export interface Picture {
  width: number;
  height: number;
  pixels: Buffer;
}

/** What a picture of the screen shows. */
export interface ScreenSeen {
  kind: string;
  /** For people, as evidence. */
  text: string;
  /** The level that it shows; null: none. */
  level: BootLevel | null;
  /** It counts only where that level was reached before; absent: always. */
  after?: BootLevel;
}

/** How the pictures of a guest without a readable console are understood. */
export interface ScreenPatterns {
  /** Pure. `previous` is the picture some seconds earlier; null for the first. */
  see(picture: Picture, previous: Picture | null): ScreenSeen | null;
  /** Prepares a picture with text on it for a program that reads it; null if there is none. Pure. */
  text(picture: Picture): Picture | null;
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
  /** Memory below which its guests may not start, MiB; absent: any will do. */
  leastMemoryMib?: number;
  /** Absent where consoles tell enough. */
  screens?: ScreenPatterns;
  /** Returns the failure for the code that the guest gave Hyper-V's interface when it stopped. Pure. */
  stopped?(code: number): Signature;
  /** What an end without a failure and without a login means; absent: the general text. */
  unproven?: Signature;
}
