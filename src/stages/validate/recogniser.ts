import type { BootPatterns, LevelPattern, ScreenSeen, Signature } from '../../families/base/boot-patterns.js';
import type { QmpEvent } from '../../machine/qmp.js';
import { type Boot, type BootLevel, rank } from '../../model/boot.js';
import { ConsoleLines } from './console.js';
import { type Failure, type OtherSignature, otherFailure } from './other-failures.js';
import { SeenFailures } from './seen-failures.js';

export interface RecogniserLimits {
  /** Time limit of a boot, in seconds. */
  timeoutSeconds: number;
  /**
   * How long to wait after the login prompt for the guest's report; 0 if the guest has no unit that prints
   * one.
   */
  evidenceSeconds: number;
}

export interface Activity {
  /** Block operations so far, reads and writes of all disks. */
  operations: number;
  /** Bytes read so far from all disks. */
  readBytes: number;
  /**
   * Digest of the screen. A blinking cursor alternates between known ones, so only a new digest counts as
   * activity.
   */
  picture: string | null;
}

export interface Verdict {
  verdict: Boot['verdict'];
  failure: Failure | null;
  /** The same boot may succeed on an idle host. */
  underLoad: boolean;
}

type Evidence = Boot['evidence'][number];
type Source = 'serial' | 'screen' | 'firmware';

/** No boot loader waits longer without any sign of activity. */
const LOADER_STALL_SECONDS = 90;
/** dracut waits silently for its root for three minutes (rd.retry=180 and its timeout scripts). */
const STALL_SECONDS = 240;
/** Activity this recent makes a time-out inconclusive. */
const RECENT_SECONDS = 30;
/** Firmware and boot loader together read less; a kernel with its initramfs reads more. */
const KERNEL_READ_BYTES = 16 * 1024 * 1024;
/** OVMF and shim's fallback each restart the machine once on a first boot. */
const MAX_RESETS = 3;
/** After a reset, the text buffer still shows the previous boot. */
const STALE_SCREEN_SECONDS = 3;
const MAX_EVIDENCE_LINES = 20_000;

/**
 * Determines how far a boot came and how it ended, from what QEMU shows. Pure: it is fed with bytes, text and
 * events, each with its time in seconds since power-on, and asked for the verdict as time passes. Only a
 * login prompt or the guest's own report counts as success.
 */
export class BootRecogniser {
  readonly #limits: RecogniserLimits;
  readonly #patterns: BootPatterns;
  /** What the guest prints, as opposed to its firmware or boot loader. */
  readonly #speaking: readonly LevelPattern[];
  readonly #serial = new ConsoleLines();
  readonly #firmware = new ConsoleLines();
  readonly #failures: SeenFailures;
  readonly #pictures = new Set<string>();
  readonly #evidence: Evidence[] = [];
  /** The level since the last reset, and the highest of all. */
  #level: BootLevel = 'none';
  #reached: BootLevel = 'none';
  #loginAt: number | null = null;
  #inInitramfs = false;
  #serialSpeaks = false;
  #resets = 0;
  #resetAt = Number.NEGATIVE_INFINITY;
  #ended: OtherSignature | 'panicked' | null = null;
  #movedAt = 0;
  #activity: Activity = { operations: 0, readBytes: 0, picture: null };
  #guestLines: string[] | null = null;
  #guestDone = false;
  /** What the guest itself told about its stop. */
  #stop: Signature | null = null;

  constructor(limits: RecogniserLimits, patterns: BootPatterns) {
    this.#limits = limits;
    this.#patterns = patterns;
    this.#failures = new SeenFailures(patterns.signatures);
    this.#speaking = patterns.levels.filter(({ level }) => rank(level) >= rank('kernel'));
  }

  /** The highest level over all resets. */
  get level(): BootLevel {
    return this.#reached;
  }

  get evidence(): readonly Evidence[] {
    return this.#evidence;
  }

  /** The guest's report, including markers; null until it is complete. */
  get guestText(): string | null {
    return this.#guestDone && this.#guestLines !== null ? this.#guestLines.join('\n') : null;
  }

  serial(chunk: Buffer, at: number): void {
    this.#movedAt = at;
    for (const line of this.#serial.push(chunk)) {
      this.#failures.collectNames(line);
      this.#line(line, 'serial', at);
    }
    if (this.#guestLines === null || this.#guestDone) this.#match(this.#serial.tail, 'serial', at);
  }

  /** Output on the firmware's debug port, where SeaBIOS writes what it shows on the screen. */
  firmware(chunk: Buffer, at: number): void {
    this.#movedAt = at;
    for (const line of this.#firmware.push(chunk)) this.#match(line, 'firmware', at);
  }

  /** The text on the screen while the guest is in a text mode. */
  screen(text: string, at: number): void {
    if (at - this.#resetAt < STALE_SCREEN_SECONDS) return;
    for (const line of text.split('\n')) this.#match(line, 'screen', at);
  }

  /** What a picture of the screen shows; null for nothing that is known. */
  picture(seen: ScreenSeen | null, at: number): void {
    if (at - this.#resetAt < STALE_SCREEN_SECONDS) return;
    this.#failures.picture(seen?.kind ?? null, this.#level, at);
    if (seen === null || seen.level === null) return;
    if (seen.after === undefined || rank(this.#level) >= rank(seen.after))
      this.#reach(seen.level, 'screen', seen.text, at);
  }

  activity(activity: Activity, at: number): void {
    if (activity.operations !== this.#activity.operations) this.#movedAt = at;
    if (activity.picture !== null && !this.#pictures.has(activity.picture)) {
      this.#pictures.add(activity.picture);
      this.#movedAt = at;
    }
    this.#activity = activity;
  }

  event({ name, data }: QmpEvent, at: number): void {
    if (name === 'RESET' && data.guest === true) this.#reset(at);
    if (name === 'SHUTDOWN' && data.guest === true) this.#ended = 'powered-off';
    if (name === 'GUEST_PANICKED') {
      this.#ended = 'panicked';
      const code = stopCode(data.info);
      if (code !== null) this.#stop = this.#patterns.stopped?.(code) ?? null;
    }
    if (name === 'WATCHDOG') this.#ended = 'watchdog';
  }

  /** QEMU stopped the machine; `status` is that of query-status. */
  stopped(status: string): void {
    if (status === 'internal-error') this.#ended ??= 'cpu-stopped';
  }

  /** Returns the verdict, or null while it is open. */
  verdict(at: number): Verdict | null {
    if (this.#ended === 'panicked')
      return failed(this.#failures.describe(this.#stop ?? this.#patterns.panic));
    if (this.#ended) return failed(otherFailure(this.#ended));
    const due = this.#failures.due(at);
    if (due) {
      const verdict = due.inconclusive ? 'inconclusive' : 'failed';
      return { verdict, failure: this.#failures.describe(due), underLoad: due.underLoad ?? false };
    }
    if (this.#loginAt !== null) {
      const waited = at - this.#loginAt;
      const enough = this.#guestDone || waited >= this.#limits.evidenceSeconds || this.#timedOut(at);
      return enough ? { verdict: 'booted', failure: null, underLoad: false } : null;
    }
    if (this.#resets >= MAX_RESETS) return failed(otherFailure('reboot-loop'));
    return this.#verdictByTime(at);
  }

  #verdictByTime(at: number): Verdict | null {
    const idle = at - this.#movedAt;
    const limit = rank(this.#level) <= rank('bootloader') ? LOADER_STALL_SECONDS : STALL_SECONDS;
    if (idle < limit && !this.#timedOut(at)) return null;
    const moves = idle < Math.min(limit, RECENT_SECONDS);
    if (moves || this.#maySilentlyRun()) {
      const { unproven } = this.#patterns;
      const failure =
        unproven === undefined ? otherFailure('inconclusive') : this.#failures.describe(unproven);
      return { verdict: 'inconclusive', failure, underLoad: moves };
    }
    return failed(otherFailure('stalled'), true);
  }

  /**
   * True if a guest without a console may have booted: at its login prompt it looks the same as a hung one.
   */
  #maySilentlyRun(): boolean {
    if (!this.#serialSpeaks) return this.#activity.readBytes >= KERNEL_READ_BYTES;
    return this.#limits.evidenceSeconds === 0 && rank(this.#level) >= rank('userspace');
  }

  #timedOut(at: number): boolean {
    return at >= this.#limits.timeoutSeconds;
  }

  #reset(at: number): void {
    this.#movedAt = at;
    this.#resets++;
    this.#resetAt = at;
    this.#level = 'none';
    this.#loginAt = null;
    this.#inInitramfs = false;
    this.#guestLines = null;
    this.#guestDone = false;
    this.#failures.reset();
  }

  #line(line: string, source: Source, at: number): void {
    const { report } = this.#patterns;
    if (report !== null && line.includes(report.begin)) this.#guestLines = [];
    if (report === null || this.#guestLines === null || this.#guestDone) {
      this.#match(line, source, at);
      return;
    }
    if (this.#guestLines.length < MAX_EVIDENCE_LINES) this.#guestLines.push(line);
    if (!line.includes(report.end)) return;
    this.#guestDone = true;
    if (report.isUp(this.#guestLines)) this.#reach('login', source, report.end, at);
  }

  #match(line: string, source: Source, at: number): void {
    if (line === '') return;
    const { levels, initramfs } = this.#patterns;
    if (source === 'serial') this.#serialSpeaks ||= this.#speaking.some(({ pattern }) => pattern.test(line));
    const leaving = initramfs.ends.test(line);
    if (leaving) this.#inInitramfs = false;
    else if (initramfs.begins.test(line)) this.#inInitramfs = true;
    for (const { level, pattern, afterInitramfs } of levels) {
      if (afterInitramfs && (this.#inInitramfs || leaving)) continue;
      if (rank(level) > rank(this.#level) && pattern.test(line)) this.#reach(level, source, line, at);
    }
    this.#failures.line(line, this.#level, at);
  }

  #reach(level: BootLevel, source: Source, text: string, at: number): void {
    if (rank(level) <= rank(this.#level)) return;
    this.#level = level;
    if (level === 'login') this.#loginAt = at;
    this.#failures.disprove(level);
    if (rank(level) <= rank(this.#reached)) return;
    this.#reached = level;
    this.#evidence.push({ level, at_seconds: at, source, text: text.slice(0, 200) });
  }
}

/** Returns the code that a guest gave Hyper-V's interface when it stopped (QEMU's `GuestPanicInformation`). */
function stopCode(info: unknown): number | null {
  const { type, arg1 } = (info ?? {}) as { type?: unknown; arg1?: unknown };
  return type === 'hyper-v' && typeof arg1 === 'number' ? arg1 % 2 ** 32 : null;
}

function failed(failure: Failure, underLoad = false): Verdict {
  return { verdict: 'failed', failure, underLoad };
}
