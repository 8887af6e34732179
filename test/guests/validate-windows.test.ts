import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { BOOT_PATTERNS } from '../../src/families/windows/boot-patterns.js';
import { machineOf } from '../../src/machine/machine.js';
import { qemuArguments } from '../../src/machine/qemu-arguments.js';
import { bootOnce } from '../../src/stages/validate/boot.js';
import { createImage } from '../../src/tools/qemu-img.js';
import { paintedDisk } from './painted-disk.js';

const SIGNAL = new AbortController().signal;
const TEST_MILLISECONDS = 300_000;

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'h2k-windows-'));
  for (const name of ['boot', 'scratch']) await mkdir(join(directory, name));
});
afterEach(() => rm(directory, { recursive: true }));

/** Boots what stands in for a Windows, on the machine that a Windows gets. */
async function boot(painting: Parameters<typeof paintedDisk>[1]) {
  const disk = join(directory, 'disk.raw');
  await paintedDisk(disk, painting);
  const machine = machineOf({
    name: 'win',
    hardware: null,
    identity: { os_type: 'windows', architecture: 'x86_64', firmware: 'bios', build: 7601 },
    plan: { devices: { disk_bus: 'sata', nic_model: 'e1000e' }, nics: [] },
    vm: { memory: 64, vcpus: 1 },
    disks: [{ file: disk, format: 'raw' }],
  });
  const overlay = join(directory, 'scratch/disk0.qcow2');
  await createImage({ file: overlay, format: 'qcow2', size: 1 << 20 }, { signal: SIGNAL });
  return bootOnce({
    architecture: machine.architecture,
    args: qemuArguments(machine, { accelerator: 'tcg', uefi: null, layers: [{ overlay, evidence: null }] }),
    directory: join(directory, 'boot'),
    scratch: join(directory, 'scratch'),
    readable: [disk],
    patterns: BOOT_PATTERNS,
    limits: { timeoutSeconds: 240, evidenceSeconds: 0 },
    signal: SIGNAL,
    onLevel: () => {},
  });
}

test(
  'a blue screen that is painted on the machine fails with its stop code, read from the picture',
  async () => {
    const { outcome, screens } = await boot({
      mode: 'graphics',
      lines: [
        'A problem has been detected and Windows has been shut down.',
        '',
        'Technical information:',
        '',
        '*** STOP: 0x0000007B (0xFFFFF880009A97E8,0xFFFFFFFFC0000034)',
      ],
    });
    expect(outcome).toMatchObject({ verdict: 'failed', failure: { signature: 'windows-stop-7b' } });
    const png = await readFile(join(directory, 'boot', screens.at(-1)!.file));
    expect(png.subarray(1, 4).toString()).toBe('PNG');
  },
  TEST_MILLISECONDS,
);

test(
  'an error of the boot manager in text mode fails with what its status means',
  async () => {
    const { outcome, level } = await boot({
      mode: 'text',
      lines: ['Windows Boot Manager', '', 'Windows failed to start.', '    Status: 0xc000000e'],
    });
    expect(outcome).toMatchObject({ verdict: 'failed', failure: { signature: 'windows-boot-store' } });
    expect(level).toBe('bootloader');
  },
  TEST_MILLISECONDS,
);

test(
  'the line of the first-boot program on COM1 is what proves a start',
  async () => {
    const line = '{"hyper2kvm_firstboot":{"done":["drivers","network-0"],"passed":[]}}';
    const { outcome, evidence } = await boot({ mode: 'text', lines: ['', line, ''], isOnSerialPort: true });
    expect(outcome.verdict).toBe('booted');
    expect(evidence.at(-1)).toMatchObject({ level: 'login', source: 'serial', text: line });
  },
  TEST_MILLISECONDS,
);
