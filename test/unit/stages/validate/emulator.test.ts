import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type JobOptions, jobOptionsSchema } from '../../../../src/config/schema.js';
import type { StageContext } from '../../../../src/engine/stage.js';
import { ARCHITECTURES } from '../../../../src/machine/architecture.js';
import { findEmulator } from '../../../../src/stages/validate/emulator.js';
import { type ValidateInput, validateStage } from '../../../../src/stages/validate/index.js';
import { hardwareWith, VIRTIO } from '../../machine/machines.js';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'h2k-emulator-'));
  vi.stubEnv('PATH', join(directory, 'bin'));
  await mkdir(join(directory, 'bin'));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(directory, { recursive: true });
});

async function install(program: string): Promise<void> {
  const file = join(directory, 'bin', program);
  await writeFile(file, '#!/bin/false\n');
  await chmod(file, 0o755);
}
const withFirmware = (images: { code: string; variables: string }[]) => ({
  ...ARCHITECTURES.aarch64,
  uefi: { ...ARCHITECTURES.aarch64.uefi, images },
});

describe('findEmulator', () => {
  it('finds the program, and the firmware where it needs one', async () => {
    const images = { code: join(directory, 'code'), variables: join(directory, 'variables') };
    for (const file of Object.values(images)) await writeFile(file, '');
    await install('qemu-system-aarch64');
    const architecture = withFirmware([images]);
    expect(await findEmulator({ architecture, firmware: 'uefi' })).toEqual({ failure: null, uefi: images });
    await install('qemu-system-x86_64');
    const pc = { architecture: ARCHITECTURES.x86_64, firmware: 'bios' } as const;
    expect(await findEmulator(pc)).toEqual({ failure: null, uefi: null });
  });

  it('names what is missing, and the packages that have it', async () => {
    const machine = { architecture: withFirmware([]), firmware: 'uefi' } as const;
    expect(await findEmulator(machine)).toMatchObject({
      failure: {
        signature: 'no-emulator',
        meaning: expect.stringContaining('qemu-system-aarch64 is not installed'),
        advice: expect.stringContaining('apt install qemu-system-arm qemu-efi-aarch64'),
      },
    });
    await install('qemu-system-aarch64');
    expect(await findEmulator(machine)).toMatchObject({
      failure: { signature: 'no-uefi-firmware', advice: expect.stringContaining('qemu-efi-aarch64') },
    });
  });
});

describe('VALIDATE of a guest that this host has no emulator for', () => {
  const optionsOf = (required: boolean): JobOptions =>
    jobOptionsSchema.parse({ config: { validate: { required } } });
  const input: ValidateInput = {
    fetch: { hardware: hardwareWith() },
    inspect: { identity: { os_type: 'linux', firmware: 'uefi', architecture: 'aarch64' } },
    plan: { plan: { devices: VIRTIO, nics: [] } },
    fix: {
      disks: [],
      evidence_changes: [],
      evidence_unit: false,
      network: { addresses: [], dhcp: true },
    },
    convert: {
      disks: [{ index: 0, file: 'out/a.raw', format: 'raw', virtual_size: 1, allocated: 0, sha256: '' }],
    },
  };

  it('is inconclusive with the reason: it fails the job only where the boot is required', async () => {
    // The stage uses nothing else of its context.
    const context = {
      job: { id: 'k3x9', vm: 'web01' },
      workDirectory: directory,
      options: optionsOf(true),
      signal: new AbortController().signal,
      log: pino({ level: 'silent' }),
    } as unknown as StageContext;
    const output = await validateStage.run(context, input);
    expect(output.boot).toMatchObject({ verdict: 'inconclusive', level: 'none', attempts: 0 });
    expect(await readdir(join(directory, 'boot'))).toEqual(['boot.json']);
    expect(validateStage.accept?.(output, optionsOf(false))).toBeNull();
    const refused = validateStage.accept?.(output, optionsOf(true));
    expect(refused).toMatchObject({
      code: 'validate.no-emulator',
      advice: expect.stringContaining('apt install qemu-system-arm'),
    });
  });
});
