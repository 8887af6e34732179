import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, loadavg } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import type { Stage, StageContext } from '../../engine/stage.js';
import { familyOf } from '../../families/registry.js';
import { syncPath, syncTree } from '../../files/durable.js';
import { type Machine, machineOf } from '../../machine/machine.js';
import type { Boot } from '../../model/boot.js';
import { machineIdentitySchema } from '../../model/identity.js';
import { convertOutput } from '../convert/output.js';
import { fetchOutput } from '../fetch/output.js';
import { fixOutput } from '../fix/output.js';
import { planOutput } from '../plan/output.js';
import { acceptBoot } from './accept.js';
import type { BootResult } from './boot.js';
import { BootGate } from './boot-gate.js';
import { type Booted, bootMachine, type MachineBoot, removeScratch } from './boot-machine.js';
import { compareContent, type DataInput, dataInput } from './compare-source.js';
import { findEmulator } from './emulator.js';
import type { Failure } from './other-failures.js';
import { type ValidateOutput, validateOutput } from './output.js';
import { remedies } from './remedies.js';

const vmInput = z.object({
  fetch: fetchOutput.pick({ hardware: true }),
  inspect: z.object({ identity: machineIdentitySchema }),
  plan: z.object({ plan: planOutput.shape.plan.pick({ devices: true, nics: true }) }),
  fix: fixOutput.pick({ disks: true, evidence_changes: true, evidence_unit: true, network: true }),
  convert: convertOutput,
});
export type ValidateInput = z.infer<typeof vmInput>;
const validateInput = z.union([vmInput, dataInput]);

const BOOT_DIRECTORY = 'boot';
/** A failure that load could explain is repeated once, with no other boot beside it. */
const MAX_ATTEMPTS = 2;
/** With TCG, the machine's own vCPUs cause this much load. */
const BUSY_LOAD_PER_CPU = 2;

const gate = new BootGate();

/**
 * Boots the converted VM on overlays that are thrown away, and reports with evidence how far it came;
 * `accept` decides whether that is enough. A data disk is compared with its source instead. The delivered
 * disks are opened read-only.
 */
export const validateStage: Stage<ValidateInput | DataInput, ValidateOutput> = {
  name: 'validate',
  version: 5,
  lane: 'boots',
  input: validateInput,
  output: validateOutput,
  dependsOn({ config }) {
    const { required: _required, require: _require, remedies: _remedies, ...boot } = config.validate;
    return boot;
  },
  enabled: (options) => options.config.validate.enabled,
  async run(context, input) {
    if (input.inspect === null)
      return { boot: null, directory: null, content: await compareContent(context, input) };
    const directory = join(context.workDirectory, BOOT_DIRECTORY);
    await rm(directory, { recursive: true, force: true });
    await mkdir(directory, { mode: 0o700 });
    try {
      const boot = await bootVm(context, input, directory);
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
  again: remedies,
  files: ({ directory }) => (directory === null ? [] : [directory]),
  cleanup: removeScratch,
};

async function bootVm(context: StageContext, input: ValidateInput, directory: string): Promise<Boot> {
  const machine = testMachine(context, input);
  const emulator = await findEmulator(machine);
  if (emulator.failure !== null) return notTried(machine, input, emulator.failure);
  const inWork = (file: string) => join(context.workDirectory, file);
  const disks = input.convert.disks.map(({ index, virtual_size: size }) => {
    const evidence = input.fix.disks.find((disk) => disk.index === index)?.evidence ?? null;
    return { size, evidence: evidence === null ? null : inWork(evidence) };
  });
  const request = {
    machine,
    uefi: emulator.uefi,
    disks,
    patterns: familyOf(input.inspect.identity).boot,
    hasEvidence: input.fix.evidence_unit,
    directory,
  };
  const { booted, attempts } = await bootWithRetry(context, request);
  return report(machine, input, booted, attempts);
}

/**
 * Returns the delivered VM except for memory and CPUs, of which this host may not have enough to spare. A guest
 * that does not start with so little memory gets more, if the VM has it.
 */
function testMachine({ job, workDirectory, options }: StageContext, input: ValidateInput): Machine {
  const { memory_mib: configured, max_memory_mib: most, smp: vcpus } = options.config.validate;
  const { leastMemoryMib = 0 } = familyOf(input.inspect.identity).boot;
  const machine = machineOf({
    name: job.vm,
    hardware: input.fetch.hardware,
    identity: input.inspect.identity,
    plan: input.plan.plan,
    vm: options.vm,
    disks: input.convert.disks.map(({ file, format, sector_size }) => ({
      file: join(workDirectory, file),
      format,
      ...(sector_size === undefined ? {} : { sectorSize: sector_size }),
    })),
  });
  const memoryMib = Math.max(configured, Math.min(leastMemoryMib, most, machine.memoryMib));
  return { ...machine, memoryMib, vcpus };
}

async function bootWithRetry(
  context: StageContext,
  request: MachineBoot,
): Promise<{ booted: Booted; attempts: number }> {
  const { directory } = request;
  for (let attempts = 1; ; attempts++) {
    const boot = () => bootMachine(context, request);
    const booted = await (attempts === 1
      ? gate.shared(context.signal, boot)
      : gate.alone(context.signal, boot));
    const { result } = booted;
    if (attempts === MAX_ATTEMPTS || !shouldRepeat(result)) return { booted, attempts };
    context.log.warn(
      { failure: result.outcome.failure?.signature },
      'repeating the boot with no other boot beside it',
    );
    await rename(join(directory, 'serial.log'), join(directory, `serial-attempt${attempts}.log`));
    for (const { file } of result.screens) await rm(join(directory, file), { force: true });
  }
}

function shouldRepeat({ outcome }: BootResult): boolean {
  if (!outcome.underLoad) return false;
  return outcome.verdict === 'failed' || (loadavg()[0] ?? 0) > BUSY_LOAD_PER_CPU * availableParallelism();
}

function report(
  machine: Machine,
  input: ValidateInput,
  { result, accelerator }: Booted,
  attempts: number,
): Boot {
  const family = familyOf(input.inspect.identity);
  const format = family.boot.report;
  const guest = result.guestText === null || format === null ? null : format.parse(result.guestText);
  const { verdict } = result.outcome;
  return {
    verdict,
    // A failed boot has a failure instead.
    warnings: guest === null || verdict !== 'booted' ? [] : family.bootWarnings(guest, input.fix.network),
    level: result.level,
    seconds: result.seconds,
    accelerator,
    firmware: machine.firmware,
    command_line: result.command_line,
    failure: result.outcome.failure,
    evidence: result.evidence,
    screens: result.screens,
    guest,
    evidence_changes: input.fix.evidence_changes,
    attempts,
  };
}

/** Returns the result if this host cannot boot the machine: nothing is known about the guest. */
function notTried({ firmware }: Machine, input: ValidateInput, failure: Failure): Boot {
  return {
    verdict: 'inconclusive',
    warnings: [],
    level: 'none',
    seconds: 0,
    accelerator: 'tcg',
    firmware,
    command_line: [],
    failure,
    evidence: [],
    screens: [],
    guest: null,
    evidence_changes: input.fix.evidence_changes,
    attempts: 0,
  };
}
