import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { isErrorCode } from '../errors/errno.js';
import { errorRecord } from '../errors/error.js';
import { type Architecture, hostArchitecture } from './architecture.js';
import { type Qemu, startQemu } from './qemu.js';

export interface Accelerator {
  kind: 'kvm' | 'tcg';
  /**
   * What is in KVM's way: no /dev/kvm, no permission to open it, or it does not run a guest. Null where it
   * runs.
   */
  obstacle: 'missing' | 'denied' | 'broken' | null;
  /** Why, for people: `hyper2kvm doctor` prints it. */
  reason: string;
}

/** A real KVM shows the probe's first text within 0.2 s; a loaded nested host needs seconds. */
const FIRST_TEXT_SECONDS = 15;

let known: Promise<Accelerator> | undefined;
let demoted: Accelerator | undefined;

/**
 * Whether KVM really runs a guest here, found by running one: /dev/kvm may exist and abort ("failed to set
 * MSR") or hang on nested hosts. Remembered for the life of the process. Never fails but by `signal`: without
 * KVM there is TCG.
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
 * A KVM launch failed although the probe passed: from now on everybody uses TCG. Only the first reason is
 * kept.
 */
export function demote(reason: string): void {
  demoted ??= tcg('broken', reason);
}

/** Returns whether KVM can run guests of `architecture` here at all: only those of the host's own. */
export function isNative(architecture: Architecture): boolean {
  return hostArchitecture()?.name === architecture.name;
}

async function probe(signal: AbortSignal): Promise<Accelerator> {
  const architecture = hostArchitecture();
  if (architecture === undefined) return tcg('broken', `no guest of ours is ${process.arch}`);
  try {
    await access('/dev/kvm', constants.R_OK | constants.W_OK);
  } catch (error) {
    return isErrorCode(error, 'ENOENT')
      ? tcg('missing', 'there is no /dev/kvm')
      : tcg('denied', '/dev/kvm may not be opened by this user');
  }
  let qemu: Qemu | undefined;
  let report: (text: string) => void = () => {};
  const firstText = new Promise<string>((resolve) => {
    report = resolve;
  });
  try {
    qemu = await startQemu({
      program: architecture.qemu.program,
      // SeaBIOS or a program of four instructions: text from it proves that the vCPU executes.
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
        ? `KVM starts but runs nothing within ${FIRST_TEXT_SECONDS} s`
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
