import { access, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ARCHITECTURES } from '../../src/machine/architecture.js';
import { findUefi, freshVariables } from '../../src/machine/firmware.js';
import { machineOf } from '../../src/machine/machine.js';
import { startQemu } from '../../src/machine/qemu.js';
import { qemuArguments } from '../../src/machine/qemu-arguments.js';
import { startTpmEmulator } from '../../src/machine/tpm-emulator.js';
import type { Devices } from '../../src/model/plan.js';
import { findProgram } from '../../src/tools/find-program.js';
import { createImage } from '../../src/tools/qemu-img.js';
import { until } from '../integration/support/daemon.js';

const SIGNAL = new AbortController().signal;
const DISKS = 60;
const MODERN = { disk_bus: 'virtio', nic_model: 'virtio' } as const;

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'h2k-devices-'));
  await createImage({ file: join(directory, 'base'), format: 'qcow2', size: 1 << 20 }, { signal: SIGNAL });
  for (let index = 0; index < DISKS; index += 1)
    await createImage(
      { file: join(directory, `disk${index}`), format: 'qcow2', size: 1 << 20 },
      { signal: SIGNAL },
    );
});
afterAll(() => rm(directory, { recursive: true, force: true }));

interface PciDevice {
  id: { vendor: number; device: number };
  regions: { type: 'io' | 'memory' }[];
  pci_bridge?: { devices?: PciDevice[] };
}

/**
 * The PCI devices of a machine as its firmware sets them up, until it looks for something to boot. The disks
 * are empty.
 */
async function devicesOf(devices: Devices, disks: number): Promise<PciDevice[]> {
  const base = { file: join(directory, 'base'), format: 'qcow2' as const };
  const machine = machineOf({
    name: 'vm',
    hardware: null,
    identity: { architecture: 'x86_64', firmware: 'bios', os_type: 'linux' },
    plan: { devices, nics: Array.from({ length: 4 }, (_, index) => ({ name: `eth${index}`, mac: null })) },
    vm: { memory: 128, vcpus: 1 },
    disks: Array.from({ length: disks }, () => base),
  });
  const args = qemuArguments(machine, {
    accelerator: 'tcg',
    uefi: null,
    layers: machine.disks.map((_, index) => ({ overlay: join(directory, `disk${index}`), evidence: null })),
  });
  let firmware = '';
  const qemu = await startQemu({
    program: machine.architecture.qemu.program,
    args,
    signal: SIGNAL,
    readable: [base.file],
    writable: [directory],
    channels: {
      serial0: () => {},
      firmware0: (chunk) => {
        firmware += chunk.toString('latin1');
      },
    },
  });
  try {
    await qemu.qmp.execute('cont');
    await until('the boot from the first disk', 120, async () => firmware.includes('Booting from Hard Disk'));
    const buses = (await qemu.qmp.execute('query-pci')) as { devices: PciDevice[] }[];
    return buses.flatMap((bus) => bus.devices.flatMap(all));
  } finally {
    await qemu.stop();
  }
}

const all = (device: PciDevice): PciDevice[] => [device, ...(device.pci_bridge?.devices ?? []).flatMap(all)];
const hasIo = ({ regions }: PciDevice) => regions.some(({ type }) => type === 'io');
/** Virtio's PCI ids: legacy and transitional 0x1000 to 0x103f, virtio 1.0 alone 0x1040 + its number. */
const virtioIds = (devices: readonly PciDevice[]) =>
  devices.filter(({ id }) => id.vendor === 0x1af4).map(({ id }) => id.device);
const BLOCK = 2;

test.each([
  ['virtio 1.0', MODERN],
  ['transitional', { ...MODERN, virtio: 'transitional' } as const],
])('QEMU starts a machine of 60 disks and 4 NICs (%s)', async (_name, devices) => {
  const ids = virtioIds(await devicesOf(devices, DISKS));
  expect(ids).toHaveLength(DISKS + 4 + 1);
  expect(ids.filter((id) => id === 0x1040 + BLOCK)).toHaveLength('virtio' in devices ? 0 : DISKS);
  expect(ids.filter((id) => id === 0x1001)).toHaveLength('virtio' in devices ? DISKS : 0);
});

test('QEMU starts a machine of 60 SATA disks and 4 NICs', async () => {
  const found = await devicesOf({ disk_bus: 'sata', nic_model: 'e1000e' }, DISKS);
  const AHCI = 0x2922;
  expect(found.filter(({ id }) => id.device === AHCI)).toHaveLength(10);
});

test('QEMU starts a machine of 60 SCSI disks and one of 4 IDE disks, each with 4 NICs', async () => {
  const scsi = virtioIds(await devicesOf({ ...MODERN, disk_bus: 'scsi' }, DISKS));
  const SCSI = 0x1040 + 8;
  expect(scsi.filter((id) => id === SCSI)).toHaveLength(9);
  const ide = await devicesOf({ disk_bus: 'ide', nic_model: 'e1000' }, 4);
  const E1000 = 0x100e;
  expect(ide.filter(({ id }) => id.device === E1000)).toHaveLength(4);
});

test('QEMU starts the machine of a Windows 11: Secure Boot, TPM, vmxnet3, each in its place', async () => {
  const base = { file: join(directory, 'base'), format: 'qcow2' as const };
  const machine = machineOf({
    name: 'win',
    hardware: {
      ...{ name: null, memory_mib: null, vcpus: null, firmware: null, os_hint: null, secure_boot: true },
      nics: [{ mac: '00:50:56:01:02:03', network: null, model: null }],
    },
    identity: {
      ...{ os_type: 'windows', architecture: 'x86_64', firmware: 'uefi' },
      ...{ build: 22_631, installation_type: 'Client', clock: 'utc', boot_store: null },
      smbios_uuid: '7b0a4d56-d42a-3a1c-b5b5-7ae1d7a3f6c2',
    },
    plan: { devices: { disk_bus: 'virtio', nic_model: 'vmxnet3' }, nics: [] },
    vm: { memory: 256, vcpus: 1 },
    disks: [base],
  });
  const uefi = await findUefi(machine.architecture, machine);
  const tpm = await startTpmEmulator(SIGNAL);
  if (uefi === undefined || tpm === null) throw new Error('ovmf and swtpm are not installed');
  const args = qemuArguments(machine, {
    accelerator: 'tcg',
    uefi: await freshVariables(uefi, join(directory, 'vars.fd')),
    tpm: tpm.socket,
    layers: [{ overlay: join(directory, 'disk0'), evidence: null }],
  });
  const { program } = machine.architecture.qemu;
  const writable = [directory, tpm.directory];
  let serial = '';
  const channels = {
    serial0: (chunk: Buffer) => {
      serial += chunk.toString('latin1');
    },
    firmware0: () => {},
  };
  const qemu = await startQemu({ program, args, signal: SIGNAL, readable: [base.file], writable, channels });
  try {
    expect(await qemu.qmp.execute('query-tpm')).toMatchObject([{ id: 'tpm0', model: 'tpm-crb' }]);
    expect(await qemu.qmp.execute('query-uuid')).toEqual({ UUID: '7b0a4d56-d42a-3a1c-b5b5-7ae1d7a3f6c2' });
    await qemu.qmp.execute('cont');
    // The firmware's own shell is not signed: Secure Boot is on.
    await until('the firmware to refuse its shell', 240, async () =>
      /"EFI Internal Shell".*Security Violation/.test(serial),
    );
    const buses = (await qemu.qmp.execute('query-pci')) as { devices: PciDevice[] }[];
    const VMXNET3 = 0x07b0;
    const ids = buses.flatMap(({ devices }) => devices.flatMap(all)).map(({ id }) => id.device);
    expect(ids.filter((id) => id === VMXNET3 || id === 0x1040 + BLOCK)).toEqual([VMXNET3, 0x1040 + BLOCK]);
  } finally {
    await qemu.stop();
    await tpm.stop();
  }
  await expect(access(tpm.directory)).rejects.toMatchObject({ code: 'ENOENT' });
});

/** Not among what the tests install: 50 MB for one test. */
const hasArm = (await findProgram(ARCHITECTURES.aarch64.qemu.program)) !== null;
test.runIf(hasArm)('AArch64’s probe writes its letter', async () => {
  const { probe, emulatedCpu, qemu: names } = ARCHITECTURES.aarch64;
  let text = '';
  const qemu = await startQemu({
    program: names.program,
    args: [...probe, ...['-accel', 'tcg', '-cpu', emulatedCpu, '-m', '32']],
    signal: SIGNAL,
    channels: {
      firmware: (chunk) => {
        text += chunk.toString('latin1');
      },
    },
  });
  try {
    await qemu.qmp.execute('cont');
    await until('a letter', 60, async () => text !== '');
    expect(text).toBe('H');
  } finally {
    await qemu.stop();
  }
});

test('only transitional devices have the I/O ports of legacy virtio', async () => {
  const virtio = (devices: readonly PciDevice[]) => devices.filter(({ id }) => id.vendor === 0x1af4);
  const legacy = virtio(await devicesOf({ ...MODERN, virtio: 'transitional' }, 1));
  expect(legacy.map(hasIo)).toEqual(Array(6).fill(true));
  const modern = virtio(await devicesOf(MODERN, 1));
  expect(modern.map(hasIo)).toEqual(Array(6).fill(false));
});
