import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { access, mkdir, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { jobOptionsSchema } from '../../src/config/schema.js';
import type { StageContext } from '../../src/engine/stage.js';
import { errorRecord } from '../../src/errors/error.js';
import { probeAccelerator } from '../../src/machine/accelerator.js';
import { startQemu } from '../../src/machine/qemu.js';
import { bootSchema } from '../../src/model/boot.js';
import { type ValidateInput, validateStage } from '../../src/stages/validate/index.js';
import { createImage } from '../../src/tools/qemu-img.js';
import { run } from '../../src/tools/run.js';
import { buildGuest } from '../lab/guest.ts';
import { RECIPES } from '../lab/recipes.ts';
import { copyImage, hangingDisk, repairGuest, withoutBootSector } from './validate-guest.js';

const BOOT_MILLISECONDS = 15 * 60_000;

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'h2k-validate-'));
  await mkdir(join(directory, 'work/out'), { recursive: true });
});
afterEach(async () => {
  await rm(directory, { recursive: true });
});

function contextFor(validate: Record<string, unknown>, signal = new AbortController().signal) {
  const percents: number[] = [];
  const written: number[] = [];
  const context: StageContext = {
    job: { id: 'job', vm: 'vm' },
    // As in the configuration of the other tests with guests.
    options: jobOptionsSchema.parse({ config: { validate: { smp: 1, ...validate } } }),
    workDirectory: join(directory, 'work'),
    source: { directory, entries: [] },
    signal,
    log: pino({ level: 'silent' }),
    progress: ({ percent }) => percents.push(percent),
    account: (bytes) => written.push(bytes.written ?? 0),
    reserve: () => Promise.resolve(),
    advanced: () => undefined,
    guest: () => Promise.reject(new Error('VALIDATE needs no guest')),
    closeGuest: () => Promise.resolve(),
    openSource: () => Promise.reject(new Error('VALIDATE opens no source')),
  };
  return { context, percents, written };
}

/** What the earlier stages would say of one disk, which is already at `out/vm-disk0.<format>`. */
async function inputFor(
  format: 'raw' | 'qcow2',
  { firmware = 'bios', evidence = null }: { firmware?: 'bios' | 'uefi'; evidence?: string | null } = {},
): Promise<ValidateInput> {
  const file = `out/vm-disk0.${format}`;
  const path = join(directory, 'work', file);
  const { stdout } = await run('qemu-img', ['info', '--output=json', '-f', format, path]);
  const size = (JSON.parse(stdout.toString()) as { 'virtual-size': number })['virtual-size'];
  return {
    fetch: {
      hardware: {
        name: null,
        memory_mib: null,
        vcpus: null,
        firmware: null,
        nics: [{ mac: '00:50:56:01:02:03', network: null, model: null }],
        os_hint: null,
      },
    },
    inspect: { identity: { os_type: 'linux', firmware, architecture: 'x86_64' } },
    plan: { plan: { devices: { disk_bus: 'virtio', nic_model: 'virtio' }, nics: [] } },
    fix: {
      disks: [{ index: 0, image: 'unused.qcow2', format: 'qcow2', evidence }],
      evidence_changes: [],
      evidence_unit: evidence !== null,
      network: { addresses: [], dhcp: true },
    },
    convert: {
      disks: [{ index: 0, file, format, virtual_size: size, allocated: 0, sha256: '' }],
    },
  };
}

async function digest(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

async function bootJson() {
  return bootSchema.parse(JSON.parse(await readFile(join(directory, 'work/boot/boot.json'), 'utf8')));
}

/** SeaBIOS' and OVMF's verdicts take seconds: the boot code is never reached. */
describe('a disk that nothing can boot', () => {
  it(
    'fails with no-bootable-device on BIOS, with the picture that shows it',
    async () => {
      const { image } = await buildGuest(RECIPES['bookworm-bios']);
      await withoutBootSector(image, join(directory, 'work/out/vm-disk0.raw'));
      const { context } = contextFor({ accelerator: 'tcg' });
      const output = await validateStage.run(context, await inputFor('raw'));
      expect(validateStage.accept?.(output, context.options)).toMatchObject({
        code: 'validate.no-bootable-device',
        retryable: false,
        advice: expect.stringContaining('uefi'),
      });
      const boot = await bootJson();
      expect(boot).toMatchObject({ verdict: 'failed', level: 'firmware', accelerator: 'tcg', attempts: 1 });
      expect(boot.seconds).toBeLessThan(60);
      const { file } = boot.screens.at(-1)!;
      const png = await readFile(join(directory, 'work/boot', file));
      expect(png.subarray(1, 4).toString()).toBe('PNG');
      await expect(access(join(directory, 'work/validate'))).rejects.toMatchObject({ code: 'ENOENT' });
    },
    BOOT_MILLISECONDS,
  );

  it(
    'fails for want of a boot loader on UEFI, which is accepted when the boot is not required',
    async () => {
      await createImage({ file: join(directory, 'work/out/vm-disk0.qcow2'), format: 'qcow2', size: 1 << 20 });
      const { context } = contextFor({ accelerator: 'tcg', required: false });
      const output = await validateStage.run(context, await inputFor('qcow2', { firmware: 'uefi' }));
      expect(validateStage.accept?.(output, context.options)).toBeNull();
      expect(output.boot).toMatchObject({
        verdict: 'failed',
        firmware: 'uefi',
        // On a busy machine the firmware's shell may appear later than the time that its message is given.
        failure: { signature: expect.stringMatching(/^uefi-(?:shell|no-loader)$/) },
      });
    },
    BOOT_MILLISECONDS,
  );
});

describe('a guest with what it needs, on virtio-blk', () => {
  it(
    'is booted, reports on itself, and the delivered file is what it was',
    async () => {
      const { image } = await buildGuest(RECIPES['bookworm-bios']);
      const delivered = join(directory, 'work/out/vm-disk0.raw');
      const repaired = await copyImage(image, join(directory, 'repaired.raw'));
      await repairGuest(repaired, join(directory, 'scratch'));
      await copyImage(image, delivered);
      // As FIX leaves it: a layer that holds only the differences.
      const evidence = join(directory, 'work/evidence.qcow2');
      await run('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', repaired, evidence]);
      await run('qemu-img', ['rebase', '-f', 'qcow2', '-F', 'raw', '-b', delivered, evidence]);
      const before = [await digest(delivered), await digest(evidence)];

      const { context, percents, written } = contextFor({ timeout_seconds: 900 });
      const input = await inputFor('raw', { evidence: 'evidence.qcow2' });
      const { boot } = await validateStage.run(context, input);

      // A machine with much other work may need the second try, which is as good.
      expect(boot).toMatchObject({ verdict: 'booted', level: 'login', failure: null });
      expect(boot?.evidence.map(({ level }) => level)).toEqual(
        expect.arrayContaining(['firmware', 'bootloader', 'kernel', 'root', 'userspace', 'login']),
      );
      expect(boot?.guest?.mounts.map(({ mountpoint }) => mountpoint)).toEqual(
        expect.arrayContaining(['/', '/boot', '/srv']),
      );
      // Its network is still tied to VMware's NIC: the report is read, not assumed.
      expect(boot?.guest?.failed_units).toEqual(['networking.service']);
      expect([await digest(delivered), await digest(evidence)]).toEqual(before);
      expect(percents).toEqual([...percents].sort((a, b) => a - b));
      expect(written[0]).toBeGreaterThan(0);
      const files = await readdir(join(directory, 'work/boot'));
      expect(files).toEqual(
        expect.arrayContaining(['boot.json', 'serial.log', 'screen-6-login.png', 'screen-end.png']),
      );
      expect((await stat(join(directory, 'work/boot/serial.log'))).size).toBeGreaterThan(1000);
    },
    BOOT_MILLISECONDS,
  );
});

describe('a guest that hangs', () => {
  beforeEach(() => hangingDisk(join(directory, 'work/out/vm-disk0.raw')));

  it('has stalled; load could explain it, so it was tried a second time', async () => {
    const { context } = contextFor({ accelerator: 'tcg', timeout_seconds: 40 });
    const output = await validateStage.run(context, await inputFor('raw'));
    expect(validateStage.accept?.(output, context.options)).toMatchObject({ code: 'validate.stalled' });
    expect(await bootJson()).toMatchObject({ verdict: 'failed', level: 'firmware', attempts: 2 });
    const files = await readdir(join(directory, 'work/boot'));
    expect(files).toEqual(expect.arrayContaining(['serial-attempt1.log', 'serial.log', 'screen-end.png']));
  }, 200_000);

  it('ends at once when the job is cancelled, with its scratch', async () => {
    const controller = new AbortController();
    const { context, percents } = contextFor({ accelerator: 'tcg' }, controller.signal);
    const reason = new Error('cancelled');
    const running = validateStage.run(context, await inputFor('raw'));
    const ended = expect(running).rejects.toBe(reason);
    await expect.poll(() => percents.length, { timeout: 60_000 }).toBeGreaterThan(0);
    const cancelled = performance.now();
    controller.abort(reason);
    await ended;
    // The boot would take minutes.
    expect(performance.now() - cancelled).toBeLessThan(15_000);
    await expect(access(join(directory, 'work/validate'))).rejects.toMatchObject({ code: 'ENOENT' });
  }, 120_000);
});

describe('a full disk under the boot test', () => {
  const work = () => join(directory, 'work');
  beforeEach(async () => {
    await run('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', work()]);
    await mkdir(join(work(), 'out'));
    await hangingDisk(join(work(), 'out/vm-disk0.raw'));
  });
  afterEach(async () => void (await run('umount', [work()])));

  it('is the host’s trouble, with its name, and not a QEMU that died', async () => {
    const { context, percents } = contextFor({ accelerator: 'tcg', timeout_seconds: 20 });
    const ended = validateStage.run(context, await inputFor('raw')).catch(errorRecord);
    await expect.poll(() => percents.length, { timeout: 60_000 }).toBeGreaterThan(0);
    await run('sh', ['-c', 'head -c 16M /dev/zero >"$1" 2>/dev/null || true', 'sh', join(work(), 'filler')]);
    expect(await ended).toMatchObject({ code: 'host.enospc', retryable: true });
  }, 120_000);
});

describe('QEMU under us', () => {
  const PROGRAM = 'qemu-system-x86_64';
  const sleeper = ['-machine', 'q35', '-accel', 'tcg', '-m', '32'];

  it('leaves no process and no socket directory after stop', async () => {
    const qemu = await startQemu({ program: PROGRAM, args: sleeper, signal: new AbortController().signal });
    expect(await qemu.qmp.execute('query-status')).toMatchObject({ status: 'prelaunch' });
    await qemu.stop();
    expect(() => process.kill(-qemu.pid, 0)).toThrow('ESRCH');
    expect(await leftSockets(qemu.commandLine)).toBe(false);
  }, 60_000);

  it('ends at once when aborted, and the waiting command fails', async () => {
    const controller = new AbortController();
    const qemu = await startQemu({ program: PROGRAM, args: sleeper, signal: controller.signal });
    controller.abort(new Error('cancelled'));
    await qemu.exited;
    await qemu.stop();
    expect(() => process.kill(-qemu.pid, 0)).toThrow('ESRCH');
    await expect(qemu.qmp.execute('query-status')).rejects.toMatchObject({ code: 'qmp.closed' });
  }, 60_000);

  it("fails with QEMU's own words when it does not start", async () => {
    const starting = startQemu({
      program: PROGRAM,
      args: ['-machine', 'c64'],
      signal: new AbortController().signal,
    });
    await expect(starting).rejects.toMatchObject({
      code: 'qemu.start',
      message: expect.stringContaining('unsupported machine type'),
    });
  }, 60_000);

  it('hands over what the firmware says from its first byte', async () => {
    let text = '';
    const qemu = await startQemu({
      program: PROGRAM,
      args: [...sleeper, '-device', 'isa-debugcon,iobase=0x402,chardev=port'],
      signal: new AbortController().signal,
      channels: {
        port: (chunk) => {
          text += chunk.toString();
        },
      },
    });
    await qemu.qmp.execute('cont');
    await expect.poll(() => text, { timeout: 30_000 }).toContain('SeaBIOS (version');
    await qemu.stop();
    expect(text.startsWith('SeaBIOS (version')).toBe(true);
  }, 60_000);

  it('is probed for KVM once, and says why', async () => {
    const { signal } = new AbortController();
    const first = await probeAccelerator({ signal });
    expect(first.reason).not.toBe('');
    expect(await probeAccelerator({ signal })).toEqual(first);
  }, 60_000);
});

async function leftSockets(commandLine: readonly string[]): Promise<boolean> {
  const monitor = commandLine.find((argument) => argument.startsWith('unix:')) ?? '';
  const path = monitor.slice('unix:'.length).split(',')[0] ?? '';
  return access(path).then(
    () => true,
    () => false,
  );
}
