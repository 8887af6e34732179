import { mkdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { availableParallelism, loadavg } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import type { Stage, StageContext } from '../../engine/stage.js';
import { errorRecord, Hyper2kvmError } from '../../errors/error.js';
import { familyOf } from '../../families/registry.js';
import { syncPath, syncTree } from '../../files/durable.js';
import { demote, probeAccelerator } from '../../machine/accelerator.js';
import { findUefi, freshVariables } from '../../machine/firmware.js';
import { domainNics } from '../../machine/nics.js';
import { type MachineDisk, type MachineFacts, machineArguments } from '../../machine/qemu-arguments.js';
import type { Boot, BootLevel } from '../../model/boot.js';
import { identitySchema } from '../../model/identity.js';
import { createImage } from '../../tools/qemu-img.js';
import { convertOutput } from '../convert/output.js';
import { fetchOutput } from '../fetch/output.js';
import { fixOutput } from '../fix/output.js';
import { planOutput } from '../plan/output.js';
import { acceptBoot } from './accept.js';
import { type BootResult, bootOnce } from './boot.js';
import { BootGate } from './boot-gate.js';
import { compareContent, type DataInput, dataInput } from './compare-source.js';
import { type ValidateOutput, validateOutput } from './output.js';

const vmInput = z.object({
  fetch: fetchOutput.pick({ hardware: true }),
  inspect: z.object({ identity: identitySchema.pick({ os_type: true, firmware: true, architecture: true }) }),
  plan: z.object({ plan: planOutput.shape.plan.pick({ devices: true, nics: true }) }),
  fix: fixOutput.pick({ disks: true, evidence_changes: true, evidence_unit: true, network: true }),
  convert: convertOutput,
});
export type ValidateInput = z.infer<typeof vmInput>;
const validateInput = z.union([vmInput, dataInput]);

const BOOT_DIRECTORY = 'boot';
const SCRATCH_DIRECTORY = 'validate';
/** A failure that load explains is tried a second time, alone; no third. */
const MAX_ATTEMPTS = 2;
/** Beside the guest's memory: translated code (1 GiB at most), stacks and malloc arenas of the threads, mapped libraries and firmware. */
const QEMU_ADDRESS_SPACE = 8 * 1024 ** 3;
/** The evidence unit waits a minute for an address; without KVM its shell is slow too. */
const EVIDENCE_SECONDS = { kvm: 75, tcg: 120 } as const;
/** Under TCG the machine's own vCPUs are this much load. */
const BUSY_LOAD_PER_CPU = 2;
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
  firmware: 'firmware runs',
  bootloader: 'boot loader runs',
  kernel: 'kernel runs',
  root: 'root file system mounted',
  userspace: 'services start',
  login: 'login prompt is there',
};
const X86 = new Set(['x86_64', 'amd64', 'i386', 'i486', 'i586', 'i686']);

const gate = new BootGate();

/**
 * Boots the converted VM on throw-away layers, and says with evidence how far it came; whether that is enough
 * is decided by `accept`. A data disk is compared with its source instead. The delivered disks are opened
 * read-only.
 */
export const validateStage: Stage<ValidateInput | DataInput, ValidateOutput> = {
  name: 'validate',
  version: 3,
  lane: 'boots',
  input: validateInput,
  output: validateOutput,
  dependsOn({ config }) {
    const { required: _required, require: _require, ...boot } = config.validate;
    return boot;
  },
  enabled: (options) => options.config.validate.enabled,
  async run(context, input) {
    if (input.inspect === null)
      return { boot: null, directory: null, content: await compareContent(context, input) };
    const { architecture } = input.inspect.identity;
    if (!X86.has(architecture)) throw unsupported(architecture);
    const directory = join(context.workDirectory, BOOT_DIRECTORY);
    await rm(directory, { recursive: true, force: true });
    await mkdir(directory, { mode: 0o700 });
    try {
      const boot = await bootWithRetry(context, input, directory);
      await writeFile(join(directory, 'boot.json'), `${JSON.stringify(boot, null, 2)}\n`);
      await syncTree(directory);
      await syncPath(context.workDirectory);
      const { verdict, level, seconds, warnings } = boot;
      context.log.info(
        { verdict, level, seconds, warnings: warnings.map(({ code }) => code) },
        'boot tested',
      );
      return { boot, directory: BOOT_DIRECTORY, content: null };
    } finally {
      await removeScratch(context);
    }
  },
  accept: acceptBoot,
  files: ({ directory }) => (directory === null ? [] : [directory]),
  cleanup: removeScratch,
};

async function bootWithRetry(context: StageContext, input: ValidateInput, directory: string): Promise<Boot> {
  for (let attempt = 1; ; attempt++) {
    const boot = () => bootAccelerated(context, input, directory);
    const booted = await (attempt === 1
      ? gate.shared(context.signal, boot)
      : gate.alone(context.signal, boot));
    const { result } = booted;
    if (attempt === MAX_ATTEMPTS || !worthAnother(result)) return report(context, input, booted, attempt);
    context.log.warn({ failure: result.outcome.failure?.signature }, 'boot is tried again alone');
    await rename(join(directory, 'serial.log'), join(directory, `serial-attempt${attempt}.log`));
    for (const { file } of result.screens) await rm(join(directory, file), { force: true });
  }
}

function worthAnother({ outcome }: BootResult): boolean {
  if (!outcome.underLoad) return false;
  return outcome.verdict === 'failed' || (loadavg()[0] ?? 0) > BUSY_LOAD_PER_CPU * availableParallelism();
}

type Kind = Boot['accelerator'];

interface Booted {
  result: BootResult;
  accelerator: Kind;
}

/** KVM that passed its probe may still fail on a real guest: then everybody goes on with TCG. Not where the user demands KVM. */
async function bootAccelerated(
  context: StageContext,
  input: ValidateInput,
  directory: string,
): Promise<Booted> {
  const wanted = context.options.config.validate.accelerator;
  const accelerator = wanted === 'auto' ? (await probeAccelerator(context)).kind : wanted;
  const mayFallBack = wanted === 'auto' && accelerator === 'kvm';
  try {
    const result = await boot(context, input, directory, accelerator);
    const reason = mayFallBack ? kvmFault(result) : null;
    if (reason === null) return { result, accelerator };
    demote(reason);
  } catch (error) {
    context.signal.throwIfAborted();
    const { code, message } = errorRecord(error);
    if (!mayFallBack || !KVM_ERRORS.has(code)) throw error;
    demote(message);
  }
  context.log.warn('KVM failed: boot is tested without it');
  return { result: await boot(context, input, directory, 'tcg'), accelerator: 'tcg' };
}

const KVM_ERRORS = new Set(['qemu.start', 'validate.qemu-died']);

function kvmFault({ outcome, level }: BootResult): string | null {
  if (outcome.failure?.signature === 'cpu-stopped') return 'KVM stopped with an internal error in a guest';
  if (outcome.failure?.signature === 'stalled' && level === 'none') return 'KVM ran no firmware of a guest';
  return null;
}

async function boot(
  context: StageContext,
  input: ValidateInput,
  directory: string,
  accelerator: Kind,
): Promise<BootResult> {
  const { config } = context.options;
  const scratch = join(context.workDirectory, SCRATCH_DIRECTORY);
  await removeScratch(context);
  await mkdir(scratch, { mode: 0o700 });
  const disks = await throwAway(context, input, scratch);
  const facts: MachineFacts = {
    accelerator,
    uefi:
      firmware(context, input) === 'uefi'
        ? await freshVariables(await findUefi(), join(scratch, 'vars.fd'))
        : null,
    memoryMib: config.validate.memory_mib,
    smp: config.validate.smp,
    devices: input.plan.plan.devices,
    disks,
    nics: domainNics(input.fetch.hardware, input.plan.plan).map(({ mac }) => mac),
    localClock: input.inspect.identity.os_type === 'windows',
  };
  const result = await bootOnce({
    args: machineArguments(facts),
    directory,
    scratch,
    readable: disks.flatMap(({ layers }) => layers.map(({ file }) => file)),
    memoryBytes: config.validate.memory_mib * 1024 ** 2 + QEMU_ADDRESS_SPACE,
    patterns: familyOf(input.inspect.identity).boot,
    limits: {
      timeoutSeconds: config.validate.timeout_seconds,
      // Without the unit the evidence layer is a serial console, and nothing is waited for.
      evidenceSeconds: input.fix.evidence_unit ? EVIDENCE_SECONDS[accelerator] : 0,
    },
    signal: context.signal,
    onLevel: (level) => context.progress({ percent: PERCENT[level], step: STEP[level] }),
  });
  for (const { overlay } of disks) context.account({ written: (await stat(overlay)).blocks * 512 });
  return result;
}

/** An empty layer on each delivered disk, with FIX's evidence layer between them where there is one. */
async function throwAway(
  context: StageContext,
  input: ValidateInput,
  scratch: string,
): Promise<MachineDisk[]> {
  const inWork = (file: string) => join(context.workDirectory, file);
  const disks: MachineDisk[] = [];
  for (const { index, file, format, virtual_size: size } of input.convert.disks) {
    const overlay = join(scratch, `disk${index}.qcow2`);
    await createImage({ file: overlay, format: 'qcow2', size }, { signal: context.signal });
    const evidence = input.fix.disks.find((disk) => disk.index === index)?.evidence ?? null;
    const layers: MachineDisk['layers'][number][] = [{ file: inWork(file), format }];
    if (evidence !== null) layers.unshift({ file: inWork(evidence), format: 'qcow2' });
    disks.push({ overlay, layers });
  }
  return disks;
}

function firmware(context: StageContext, input: ValidateInput): Boot['firmware'] {
  return context.options.vm.firmware ?? input.inspect.identity.firmware;
}

function report(
  context: StageContext,
  input: ValidateInput,
  { result, accelerator }: Booted,
  attempts: number,
): Boot {
  const family = familyOf(input.inspect.identity);
  const guest = result.guestText === null ? null : family.boot.report.parse(result.guestText);
  const { verdict } = result.outcome;
  return {
    verdict,
    // A boot that failed has a failure instead.
    warnings: guest === null || verdict !== 'booted' ? [] : family.bootWarnings(guest, input.fix.network),
    level: result.level,
    seconds: result.seconds,
    accelerator,
    firmware: firmware(context, input),
    command_line: result.command_line,
    failure: result.outcome.failure,
    evidence: result.evidence,
    screens: result.screens,
    guest,
    evidence_changes: input.fix.evidence_changes,
    attempts,
  };
}

function unsupported(architecture: string): Hyper2kvmError {
  return new Hyper2kvmError(
    'validate.unsupported-architecture',
    `The boot test runs x86 guests; this one is ${architecture}`,
    { advice: 'Set validate.enabled = false in its job.toml to convert it without a boot test.' },
  );
}

/** Leaves `boot/`: a failed job keeps it. */
async function removeScratch(context: StageContext): Promise<void> {
  await rm(join(context.workDirectory, SCRATCH_DIRECTORY), { recursive: true, force: true });
}
