import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { jobOptionsSchema } from '#hyper2kvm/config/schema.js';
import { errorRecord } from '#hyper2kvm/errors/error.js';
import { familyOf } from '#hyper2kvm/families/registry.js';
import { probeAccelerator } from '#hyper2kvm/machine/accelerator.js';
import { freshVariables } from '#hyper2kvm/machine/firmware.js';
import { type Machine, machineOf } from '#hyper2kvm/machine/machine.js';
import { qemuArguments, type ThrowAwayLayers } from '#hyper2kvm/machine/qemu-arguments.js';
import { bootOnce } from '#hyper2kvm/stages/validate/boot.js';
import { findEmulator } from '#hyper2kvm/stages/validate/emulator.js';
import { createImage, imageInfo } from '#hyper2kvm/tools/qemu-img.js';
import { run } from '#hyper2kvm/tools/run.js';
import { LAB_REPORT, labReport } from './boot.ts';
import type { BuiltGuest } from './guest.ts';
import { luksKeys, makeDrop } from './matrix-drop.ts';
import type { GuestState, PeerResult } from './matrix-judge.ts';
import type { GuestRecipe } from './recipes.ts';
import { vmxText } from './vmx-text.ts';

const LIMIT_SECONDS = 900;
const BOOT_SECONDS = 600;
/** How long the guest's own report may take after the login prompt. */
const REPORT_SECONDS = 120;

/** The same guest through virt-v2v, its result booted on the machine that VALIDATE boots ours on. */
export async function convertWithVirtV2v(guest: BuiltGuest, scratch: string): Promise<PeerResult> {
  const { recipe } = guest;
  const drop = await makeDrop(guest, join(scratch, 'peer', recipe.name));
  const output = join(scratch, 'peer-output');
  await mkdir(output);
  const description = join(drop, `${recipe.name}.vmx`);
  await writeFile(description, vmxText(recipe));
  const keys = luksKeys(recipe).flatMap(({ device, file }) => [
    '--key',
    `${device}:file:${join(drop, file)}`,
  ]);
  // Snapshots of a btrfs are roots to it: without `--root` it asks on the terminal which one is meant.
  const input = ['-i', 'vmx', description, ...keys, '--root', 'first'];
  const args = [...input, '-o', 'local', '-of', 'qcow2', '-os', output];
  const started = performance.now();
  const error = await virtV2v(args);
  const seconds = (performance.now() - started) / 1000;
  if (error !== null) return { seconds, error, state: null, stopped: null };
  const disks = (await readdir(output)).filter((name) => /-sd[a-z]$/.test(name)).sort();
  const booted = await boot(
    recipe,
    disks.map((disk) => join(output, disk)),
    scratch,
  );
  return { seconds, error: null, ...booted };
}

/** Null, or why it ended without a result. */
async function virtV2v(args: readonly string[]): Promise<string | null> {
  try {
    const { code, stderr } = await run('virt-v2v', args, {
      ...{ timeoutSeconds: LIMIT_SECONDS, okCodes: [0, 1] },
      env: { LIBGUESTFS_BACKEND: 'direct', LIBGUESTFS_BACKEND_SETTINGS: 'force_tcg' },
    });
    return code === 0 ? null : errorText(stderr);
  } catch (error) {
    const { code, message } = errorRecord(error);
    if (code !== 'tool.timeout') throw error;
    return message;
  }
}

/** The sentence after virt-v2v's last `error:`, without what it says to everybody. Pure. */
export function errorText(stderr: string): string {
  const said = stderr.split('virt-v2v: error: ').at(-1) ?? '';
  const [sentence = ''] = said.split(/\n\s*\n|\nIf reporting bugs/);
  return sentence.replace(/\s+/g, ' ').trim().slice(0, 200);
}

/**
 * The boot is over when the guest has told its state on the serial port, or when VALIDATE's recogniser knows
 * why it never will.
 */
async function boot(
  recipe: GuestRecipe,
  files: readonly string[],
  scratch: string,
): Promise<Pick<PeerResult, 'state' | 'stopped'>> {
  const directory = join(scratch, 'peer-boot');
  await mkdir(directory);
  const { validate } = jobOptionsSchema.parse({ config: {} }).config;
  const told = new AbortController();
  const console = join(directory, 'serial.log');
  const watch = watchConsole(console, told);
  const { kind: accelerator } = await probeAccelerator({ signal: AbortSignal.timeout(60_000) });
  const machine: Machine = {
    ...machineOf({
      name: recipe.name,
      hardware: null,
      identity: { architecture: 'x86_64', firmware: recipe.firmware, os_type: 'linux' },
      plan: {
        devices: { disk_bus: 'virtio', nic_model: 'virtio' },
        nics: [{ name: recipe.network.interface, mac: recipe.network.mac }],
      },
      vm: {},
      disks: files.map((file) => ({ file, format: 'qcow2' as const })),
    }),
    memoryMib: validate.memory_mib,
    vcpus: validate.smp,
  };
  const emulator = await findEmulator(machine);
  if (emulator.failure !== null) throw new Error(emulator.failure.meaning);
  const { uefi } = emulator;
  try {
    const { outcome, level } = await bootOnce({
      architecture: machine.architecture,
      args: qemuArguments(machine, {
        accelerator,
        uefi: uefi === null ? null : await freshVariables(uefi, join(directory, 'vars.fd')),
        layers: await Promise.all(files.map((file, index) => layerOn(file, directory, index))),
      }),
      directory,
      scratch: directory,
      readable: files,
      patterns: familyOf({ os_type: 'linux' }).boot,
      limits: { timeoutSeconds: BOOT_SECONDS, evidenceSeconds: REPORT_SECONDS },
      signal: told.signal,
      onLevel: () => {},
    });
    const why = outcome.failure === null ? 'says nothing of itself' : outcome.failure.signature;
    return { state: null, stopped: `${why}, at level ${level}` };
  } catch (error) {
    if (!told.signal.aborted) throw error;
    return { state: stateOf(await readFile(console, 'latin1')), stopped: null };
  } finally {
    told.abort();
    await watch;
  }
}

async function layerOn(file: string, directory: string, index: number): Promise<ThrowAwayLayers> {
  const overlay = join(directory, `disk${index}.qcow2`);
  const { virtualSize: size } = await imageInfo(file, 'qcow2');
  await createImage({ file: overlay, format: 'qcow2', size });
  return { overlay, evidence: null };
}

async function watchConsole(file: string, told: AbortController): Promise<void> {
  while (!told.signal.aborted) {
    // Not there before QEMU runs.
    const text = await readFile(file, 'latin1').catch(() => '');
    if (LAB_REPORT.test(text)) told.abort();
    await sleep(1_000, undefined, { signal: told.signal }).catch(() => {});
  }
}

/** The lab's own report in the form of the boot test's: an address without interface and prefix. */
function stateOf(serial: string): GuestState {
  const { addresses, mounts, swaps, failed } = labReport(serial);
  return {
    addresses: addresses.map((address) => address.replace(/^.*=/, '').replace(/\/.*$/, '')),
    mounts,
    swaps,
    failed_units: failed,
  };
}
