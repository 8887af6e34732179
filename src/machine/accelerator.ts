import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { isErrorCode } from '../errors/errno.js';
import { errorRecord } from '../errors/error.js';
import { type Architecture, hostArchitecture } from './architecture.js';
import { type Qemu, startQemu } from './qemu.js';

export interface Accelerator {
  kind: 'kvm' | 'tcg';
  /**
   * The obstacle to using KVM: no /dev/kvm, no permission to open it, or it does not run a guest. Null if it
   * works.
   */
  obstacle: 'missing' | 'denied' | 'broken' | null;
  /** The reason, for people; `hyper2kvm doctor` prints it. */
  reason: string;
}

/** Real KVM shows the probe's first text within 0.2 s; a loaded nested host needs seconds. */
const FIRST_TEXT_SECONDS = 15;

let known: Promise<Accelerator> | undefined;
let demoted: Accelerator | undefined;

/**
 * Returns whether KVM really runs a guest here, found by running one: on nested hosts /dev/kvm may exist but
 * abort ("failed to set MSR") or hang. Remembered for the life of the process. Rejects only because of
 * `signal`: without KVM there is TCG.
 */
export async function probeAccelerator({ signal }: { signal: AbortSignal }): Promise<Accelerator> {
  if (demoted) return demoted;
  known ??= probe(signal);
  try {
    const found = await known;
    return demoted ?? found;
  } catch (error) {
    known = undefined;
    // Another caller's cancelled probe says nothing about the host.
    if (!signal.aborted) return probeAccelerator({ signal });
    throw error;
  }
}

/**
 * Switches to TCG for the rest of the process, after a KVM launch failed although the probe passed. Only the
 * first reason is kept.
 */
export function demote(reason: string): void {
  demoted ??= tcg('broken', reason);
}

/** Returns whether KVM could run guests of `architecture` here: only those of the host's own. */
export function isNative(architecture: Architecture): boolean {
  return hostArchitecture()?.name === architecture.name;
}

async function probe(signal: AbortSignal): Promise<Accelerator> {
  const architecture = hostArchitecture();
  if (architecture === undefined) return tcg('broken', `${process.arch} is not a supported architecture`);
  try {
    await access('/dev/kvm', constants.R_OK | constants.W_OK);
  } catch (error) {
    return isErrorCode(error, 'ENOENT')
      ? tcg('missing', '/dev/kvm does not exist')
      : tcg('denied', 'this user may not open /dev/kvm');
  }
  let qemu: Qemu | undefined;
  let report: (text: string) => void = () => {};
  const firstText = new Promise<string>((resolve) => {
    report = resolve;
  });
  try {
    qemu = await startQemu({
      program: architecture.qemu.program,
      // SeaBIOS, or a program of four instructions: text from it proves that the vCPU executes.
      args: [...architecture.probe, ...['-accel', 'kvm', '-cpu', 'max', '-m', '32']],
      signal,
      channels: { firmware: (chunk) => report(chunk.toString('latin1')) },
    });
    await qemu.qmp.execute('cont');
    const ran = await Promise.race([
      firstText.then(() => true),
      qemu.exited.then(() => false),
      silence(FIRST_TEXT_SECONDS, signal),
    ]);
    signal.throwIfAborted();
    if (ran) return { kind: 'kvm', obstacle: null, reason: 'KVM ran a firmware' };
    return tcg(
      'broken',
      qemu.exit() === undefined
        ? `KVM starts but runs no guest code within ${FIRST_TEXT_SECONDS} s`
        : `KVM fails: ${lastLine(qemu.messages())}`,
    );
  } catch (error) {
    signal.throwIfAborted();
    return tcg('broken', `KVM fails: ${errorRecord(error).message}`);
  } finally {
    await qemu?.stop();
  }
}

function silence(seconds: number, signal: AbortSignal): Promise<false> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), seconds * 1000);
    timer.unref();
    signal.addEventListener('abort', () => resolve(false), { once: true });
  });
}

function tcg(obstacle: Accelerator['obstacle'], reason: string): Accelerator {
  return { kind: 'tcg', obstacle, reason };
}

function lastLine(text: string): string {
  return text.split('\n').at(-1) ?? '';
}
