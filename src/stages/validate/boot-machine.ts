import { mkdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { StageContext } from '../../engine/stage.js';
import { errorRecord } from '../../errors/error.js';
import type { BootPatterns } from '../../families/base/boot-patterns.js';
import { demote, isNative, probeAccelerator } from '../../machine/accelerator.js';
import type { UefiImages } from '../../machine/architecture.js';
import { freshVariables } from '../../machine/firmware.js';
import type { Machine } from '../../machine/machine.js';
import { qemuArguments, type ThrowAwayLayers } from '../../machine/qemu-arguments.js';
import { startTpmEmulator } from '../../machine/tpm-emulator.js';
import type { Boot, BootLevel } from '../../model/boot.js';
import { createImage } from '../../tools/qemu-img.js';
import { type BootResult, bootOnce } from './boot.js';

export interface MachineBoot {
  machine: Machine;
  /** Null for a BIOS. */
  uefi: UefiImages | null;
  /**
   * For each disk of the machine, its size and the overlay with FIX's additions for the boot test, null
   * without one. Absolute paths.
   */
  disks: readonly { size: number; evidence: string | null }[];
  /** What the boot of such a guest looks like. */
  patterns: BootPatterns;
  /**
   * True if the guest reports what came up, which the test then waits for. Without that unit, the overlay
   * only adds a serial console.
   */
  hasEvidence: boolean;
  /** Where the log and the screenshots are written. */
  directory: string;
}

export interface Booted {
  result: BootResult;
  accelerator: Boot['accelerator'];
}

const SCRATCH_DIRECTORY = 'validate';
/**
 * In addition to the guest's memory: translated code (1 GiB at most), stacks and malloc arenas of the
 * threads, mapped libraries and firmware.
 */
const QEMU_ADDRESS_SPACE = 8 * 1024 ** 3;
/** The guest's unit waits a minute for an address; without KVM its shell is slow too. */
const EVIDENCE_SECONDS = { kvm: 75, tcg: 120 } as const;
const PERCENT: Record<BootLevel, number> = {
  none: 0,
  firmware: 10,
  bootloader: 20,
  kernel: 35,
  root: 55,
  userspace: 75,
  login: 95,
};
const STEP: Record<BootLevel, string> = {
  none: 'starting the machine',
  firmware: 'firmware is running',
  bootloader: 'boot loader is running',
  kernel: 'kernel is running',
  root: 'root filesystem mounted',
  userspace: 'services are starting',
  login: 'login prompt reached',
};

/**
 * Boots the machine once. If KVM passed its probe but fails on a real guest, all boots use TCG from then on,
 * unless the user demands KVM. A guest whose architecture is not the host's is always emulated.
 */
export async function bootMachine(context: StageContext, request: MachineBoot): Promise<Booted> {
  const wanted = isNative(request.machine.architecture) ? context.options.config.validate.accelerator : 'tcg';
  const accelerator = wanted === 'auto' ? (await probeAccelerator(context)).kind : wanted;
  const mayFallBack = wanted === 'auto' && accelerator === 'kvm';
  try {
    const result = await boot(context, request, accelerator);
    const reason = mayFallBack ? kvmFault(result) : null;
    if (reason === null) return { result, accelerator };
    demote(reason);
  } catch (error) {
    context.signal.throwIfAborted();
    const { code, message } = errorRecord(error);
    if (!mayFallBack || !KVM_ERRORS.has(code)) throw error;
    demote(message);
  }
  context.log.warn('KVM failed: testing the boot without it');
  return { result: await boot(context, request, 'tcg'), accelerator: 'tcg' };
}

const KVM_ERRORS = new Set(['qemu.start', 'validate.qemu-died']);

function kvmFault({ outcome, level }: BootResult): string | null {
  if (outcome.failure?.signature === 'cpu-stopped') return 'KVM stopped with an internal error in a guest';
  if (outcome.failure?.signature === 'stalled' && level === 'none') return 'KVM ran no firmware of a guest';
  return null;
}

async function boot(
  context: StageContext,
  { machine, uefi, disks, patterns, hasEvidence, directory }: MachineBoot,
  accelerator: Boot['accelerator'],
): Promise<BootResult> {
  const scratch = join(context.workDirectory, SCRATCH_DIRECTORY);
  await removeScratch(context);
  await mkdir(scratch, { mode: 0o700 });
  const layers = await throwAway(disks, scratch, context.signal);
  // Without the emulator, the machine of the boot test has no TPM: Windows starts all the same.
  const tpm = machine.tpm ? await startTpmEmulator(context.signal) : null;
  try {
    const args = qemuArguments(machine, {
      accelerator,
      uefi: uefi === null ? null : await freshVariables(uefi, join(scratch, 'vars.fd')),
      tpm: tpm?.socket,
      layers,
    });
    const result = await bootOnce({
      architecture: machine.architecture,
      args,
      directory,
      scratch,
      readable: [
        ...machine.disks.map(({ file }) => file),
        ...layers.flatMap(({ evidence }) => (evidence === null ? [] : [evidence])),
      ],
      writable: tpm === null ? [] : [tpm.directory],
      memoryBytes: machine.memoryMib * 1024 ** 2 + QEMU_ADDRESS_SPACE,
      patterns,
      limits: {
        timeoutSeconds: context.options.config.validate.timeout_seconds,
        evidenceSeconds: hasEvidence ? EVIDENCE_SECONDS[accelerator] : 0,
      },
      signal: context.signal,
      onLevel: (level) => context.progress({ percent: PERCENT[level], step: STEP[level] }),
    });
    for (const { overlay } of layers) context.account({ written: (await stat(overlay)).blocks * 512 });
    return result;
  } finally {
    await tpm?.stop();
  }
}

/** Creates an empty overlay for each disk, thrown away after the boot. */
async function throwAway(
  disks: MachineBoot['disks'],
  scratch: string,
  signal: AbortSignal,
): Promise<ThrowAwayLayers[]> {
  const layers: ThrowAwayLayers[] = [];
  for (const [index, { size, evidence }] of disks.entries()) {
    const overlay = join(scratch, `disk${index}.qcow2`);
    await createImage({ file: overlay, format: 'qcow2', size }, { signal });
    layers.push({ overlay, evidence });
  }
  return layers;
}

/** Removes everything but `boot/`, which a failed job keeps. */
export async function removeScratch(context: Pick<StageContext, 'workDirectory'>): Promise<void> {
  await rm(join(context.workDirectory, SCRATCH_DIRECTORY), { recursive: true, force: true });
}
