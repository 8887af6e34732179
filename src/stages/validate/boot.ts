import { createHash } from 'node:crypto';
import { createWriteStream, type WriteStream } from 'node:fs';
import { copyFile, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { errorRecord, Hyper2kvmError } from '../../errors/error.js';
import type { BootPatterns } from '../../families/base/boot-patterns.js';
import { orFullDisk } from '../../files/space.js';
import type { Architecture } from '../../machine/architecture.js';
import { type Qemu, startQemu } from '../../machine/qemu.js';
import { FIRMWARE_CHANNEL, SERIAL_CHANNEL } from '../../machine/qemu-arguments.js';
import type { QmpEvent } from '../../machine/qmp.js';
import { type Boot, type BootLevel, rank } from '../../model/boot.js';
import { ConsoleFeed, decodeVgaText } from './console.js';
import { BootRecogniser, type RecogniserLimits, type Verdict } from './recogniser.js';
import { ScreenWatch } from './screen-watch.js';

export interface BootRequest {
  architecture: Architecture;
  /** The machine's arguments (machine/qemu-arguments.ts). */
  args: readonly string[];
  /** Where `serial.log` and `screen-*.png` are written. */
  directory: string;
  /** For temporary files. */
  scratch: string;
  /** The files that the machine's disks are based on. */
  readable: readonly string[];
  /** Further directories that QEMU may write to: those of sockets. */
  writable?: readonly string[];
  /** Limit on QEMU's address space, bytes. */
  memoryBytes?: number;
  limits: RecogniserLimits;
  /** What the boot of such a guest looks like. */
  patterns: BootPatterns;
  signal: AbortSignal;
  onLevel(level: BootLevel): void;
}

export interface BootResult
  extends Pick<Boot, 'level' | 'seconds' | 'command_line' | 'evidence' | 'screens'> {
  outcome: Verdict;
  /** The guest's own report as text; null if it gave none. */
  guestText: string | null;
}

const REAP_MILLISECONDS = 2_000;
const TICK_MILLISECONDS = 1000;
/** A screenshot takes 30 ms to encode, so there is not one every second. */
const PICTURE_TICKS = 5;
const TEXT_TICKS = 2;
/** IBM VGA: 32 KiB of text memory. */
const TEXT_MEMORY = { val: 0xb8000, size: 0x8000 };
const SERIAL_LOG_BYTES = 16 * 1024 * 1024;
/** A boot writes tens of MB to its overlay; a guest that writes this much would fill the host's disk. */
const OVERLAY_BYTES = 8 * 1024 ** 3;

/**
 * Boots the machine once, watches it until there is a verdict, and leaves the console log and the screenshots
 * in `directory`. Throws if the test itself fails: `qemu.start`, `validate.qemu-died`, `host.enospc`,
 * `qmp.timeout`. A guest that does not boot is a result, not an error.
 */
export async function bootOnce(request: BootRequest): Promise<BootResult> {
  const log = new CappedLog(join(request.directory, 'serial.log'));
  const recogniser = new BootRecogniser(request.limits, request.patterns);
  let started = performance.now();
  const at = () => Math.round(performance.now() - started) / 1000;
  const serial = new ConsoleFeed((chunk, when) => recogniser.serial(chunk, when));
  const firmware = new ConsoleFeed((chunk, when) => recogniser.firmware(chunk, when));
  let qemu: Qemu | undefined;
  try {
    qemu = await startQemu({
      program: request.architecture.qemu.program,
      args: request.args,
      signal: request.signal,
      fileBytes: OVERLAY_BYTES,
      ...(request.memoryBytes === undefined ? {} : { memoryBytes: request.memoryBytes }),
      readable: request.readable,
      writable: [request.directory, request.scratch, ...(request.writable ?? [])],
      channels: {
        [SERIAL_CHANNEL]: (chunk) => {
          log.write(chunk);
          serial.push(chunk, at());
        },
        [FIRMWARE_CHANNEL]: (chunk) => firmware.push(chunk, at()),
      },
    });
    const watch = new Watch(qemu, recogniser, request, at);
    started = performance.now();
    await qemu.qmp.execute('cont');
    const outcome = await watch.untilVerdict();
    const seconds = at();
    await watch.lastPicture();
    return {
      outcome,
      level: recogniser.level,
      seconds,
      command_line: qemu.commandLine,
      evidence: [...recogniser.evidence],
      screens: watch.screens,
      guestText: recogniser.guestText,
    };
  } catch (error) {
    request.signal.throwIfAborted();
    // The monitor's socket closes a moment before the process has ended.
    if (errorRecord(error).code === 'qmp.closed')
      await Promise.race([qemu?.exited, sleep(REAP_MILLISECONDS)]);
    throw await orFullDisk(qemu?.exit() === undefined ? error : died(qemu, error), request.scratch);
  } finally {
    await qemu?.stop();
    await log.end();
  }
}

class Watch {
  readonly screens: Boot['screens'] = [];
  readonly #qemu: Qemu;
  readonly #recogniser: BootRecogniser;
  readonly #request: BootRequest;
  readonly #at: () => number;
  readonly #screen: ScreenWatch | null;
  #pictured: BootLevel = 'none';
  #picture: string | null = null;
  #hostFull = false;
  #stopped = false;

  constructor(qemu: Qemu, recogniser: BootRecogniser, request: BootRequest, at: () => number) {
    this.#qemu = qemu;
    this.#recogniser = recogniser;
    this.#request = request;
    this.#at = at;
    const { patterns, scratch, signal } = request;
    this.#screen = patterns.screens
      ? new ScreenWatch(patterns.screens, { recogniser, qmp: qemu.qmp, scratch, signal })
      : null;
    qemu.qmp.on('event', (event) => this.#event(event));
  }

  async untilVerdict(): Promise<Verdict> {
    for (let tick = 0; ; tick++) {
      await sleep(TICK_MILLISECONDS, undefined, { signal: this.#request.signal });
      if (this.#hostFull) throw hostFull();
      await this.#sample(tick);
      await this.#levelPicture();
      const verdict = this.#recogniser.verdict(this.#at());
      if (verdict !== null) return verdict;
    }
  }

  /** Takes a last screenshot after a pause: the prompt that gave the verdict takes a moment to be drawn. */
  async lastPicture(): Promise<void> {
    await sleep(TICK_MILLISECONDS, undefined, { signal: this.#request.signal });
    await this.#keepPicture('screen-end.png', this.#recogniser.level);
  }

  #event(event: QmpEvent): void {
    if (event.name === 'BLOCK_IO_ERROR' && event.data.nospace === true) this.#hostFull = true;
    if (event.name === 'STOP') this.#stopped = true;
    if (event.name === 'RESUME') this.#stopped = false;
    this.#recogniser.event(event, this.#at());
  }

  async #sample(tick: number): Promise<void> {
    const { qmp } = this.#qemu;
    if (this.#stopped) this.#recogniser.stopped(statusOf(await qmp.execute('query-status')));
    if (tick % PICTURE_TICKS === 0) {
      this.#picture = await this.#takePicture();
      await this.#screen?.look(this.#at);
    }
    const { operations, readBytes } = blockTotals(await qmp.execute('query-blockstats'));
    this.#recogniser.activity({ operations, readBytes, picture: this.#picture }, this.#at());
    if (this.#request.architecture.isPc && tick % TEXT_TICKS === 0) await this.#readText();
  }

  async #readText(): Promise<void> {
    const filename = join(this.#request.scratch, 'text-memory');
    await this.#qemu.qmp.execute('pmemsave', { ...TEXT_MEMORY, filename });
    const text = decodeVgaText(await readFile(filename));
    if (text !== null) this.#recogniser.screen(text, this.#at());
  }

  async #levelPicture(): Promise<void> {
    const { level } = this.#recogniser;
    if (level === this.#pictured) return;
    this.#pictured = level;
    this.#request.onLevel(level);
    await this.#keepPicture(`screen-${rank(level)}-${level}.png`, level);
  }

  async #keepPicture(file: string, level: BootLevel): Promise<void> {
    await this.#takePicture();
    await copyFile(this.#pictureFile, join(this.#request.directory, file));
    this.screens.push({ file, at_seconds: this.#at(), level });
  }

  /** Returns a digest of the screen. */
  async #takePicture(): Promise<string> {
    await this.#qemu.qmp.execute('screendump', { filename: this.#pictureFile, format: 'png' });
    return createHash('sha256')
      .update(await readFile(this.#pictureFile))
      .digest('hex');
  }

  get #pictureFile(): string {
    return join(this.#request.scratch, 'picture.png');
  }
}

/** Writes a serial console to disk, up to a limit. */
class CappedLog {
  readonly #stream: WriteStream;
  readonly #failure: Promise<void>;
  #left = SERIAL_LOG_BYTES;

  constructor(path: string) {
    this.#stream = createWriteStream(path, { mode: 0o600 });
    this.#failure = finished(this.#stream);
    // end() reports it; without this handler, a full disk would be an unhandled rejection before that.
    this.#failure.catch(() => {});
  }

  write(chunk: Buffer): void {
    if (this.#left <= 0 || this.#stream.destroyed) return;
    this.#stream.write(chunk.subarray(0, this.#left));
    this.#left -= chunk.length;
    if (this.#left <= 0)
      this.#stream.write('\n[hyper2kvm: the console printed more than 16 MiB; the rest is not kept]\n');
  }

  async end(): Promise<void> {
    this.#stream.end();
    await this.#failure;
  }
}

/** Sums QEMU's `query-blockstats` over the machine's drives. */
export function blockTotals(reply: unknown): { operations: number; readBytes: number } {
  let operations = 0;
  let readBytes = 0;
  for (const { stats } of reply as { stats: Record<string, number> }[]) {
    operations += (stats.rd_operations ?? 0) + (stats.wr_operations ?? 0);
    readBytes += stats.rd_bytes ?? 0;
  }
  return { operations, readBytes };
}

function statusOf(reply: unknown): string {
  return (reply as { status: string }).status;
}

function died(qemu: Qemu, cause: unknown): Hyper2kvmError {
  const { code, signal } = qemu.exit() ?? { code: null, signal: null };
  const how = signal === null ? `code ${code}` : `signal ${signal}`;
  return new Hyper2kvmError('validate.qemu-died', `QEMU ended during the boot (${how}): ${qemu.messages()}`, {
    retryable: true,
    cause,
  });
}

function hostFull(): Hyper2kvmError {
  return new Hyper2kvmError(
    'host.enospc',
    'The disk with the work directory is full: the boot test stopped',
    {
      retryable: true,
    },
  );
}
