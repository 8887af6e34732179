import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { pino } from 'pino';
import type { GuestAccess } from '#hyper2kvm/access/guest-access.js';
import type { GuestReader } from '#hyper2kvm/access/guest-reader.js';
import { openAppliance } from '#hyper2kvm/appliance/open-appliance.js';
import { configSchema, jobOptionsSchema } from '#hyper2kvm/config/schema.js';
import { planGuest } from '#hyper2kvm/families/plan.js';
import { firstBootProgram } from '#hyper2kvm/families/windows/first-boot-program.js';
import { readWindowsSnapshot } from '#hyper2kvm/families/windows/inspect/snapshot.js';
import type { DriverSet } from '#hyper2kvm/model/driver-set.js';
import type { WindowsIdentity } from '#hyper2kvm/model/identity.js';
import type { Plan } from '#hyper2kvm/operations/plan.js';
import { fixStage } from '#hyper2kvm/stages/fix/index.js';
import type { FixOutput } from '#hyper2kvm/stages/fix/output.js';
import { inspectGuest } from '#hyper2kvm/stages/inspect/inspect-guest.js';
import { run } from '#hyper2kvm/tools/run.js';
import { guestOf } from '../unit/families/guests.js';

const log = pino({ level: 'silent' });
const signal = new AbortController().signal;
const options = jobOptionsSchema.parse({
  kind: 'vm',
  config: configSchema.parse({ validate: { enabled: false } }),
});

export interface FixedVolume {
  identity: WindowsIdentity;
  plan: Plan;
  fixed: FixOutput;
}

/** Disks of several VMs in one appliance, whose launch is most of the time of a test. */
export interface OneAppliance {
  /** INSPECT, PLAN and FIX of the VM whose one disk is the `index`th. */
  convert(index: number, drivers: DriverSet): Promise<FixedVolume>;
  /** Ends it, and returns the disks as FIX left them. */
  close(): Promise<string[]>;
  kill(): Promise<void>;
}

/** `directory` is made; the raw images are not changed. */
export async function openOneAppliance(images: readonly string[], directory: string): Promise<OneAppliance> {
  await mkdir(directory);
  const disks = [];
  for (const [index, image] of images.entries()) {
    const disk = `disk${index}.qcow2`;
    await run('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', image, '-F', 'raw', join(directory, disk)]);
    disks.push(disk);
  }
  const access = await openAppliance({
    ...{ disks, workDirectory: directory, drop: images, options: options.config, signal, log },
  });
  return {
    convert: async (index, drivers) => {
      const workDirectory = join(directory, `vm${index}`);
      await mkdir(workDirectory);
      return convert(access, index, drivers, workDirectory);
    },
    async close() {
      const left = access.capabilities.layers!.images.map((image) => join(directory, image));
      await access.close();
      return left;
    },
    kill: () => access.kill(),
  };
}

async function convert(
  access: GuestAccess,
  index: number,
  drivers: DriverSet,
  workDirectory: string,
): Promise<FixedVolume> {
  const reader = await withOneDisk(access.reader, index);
  const place = { workDirectory, firmware: null, chosenRoot: null, nics: [] };
  const request = { ...place, isOffline: true, keys: [], controllers: [null], diskIds: [[]] };
  const inspect = await inspectGuest(reader, request, () => undefined);
  const { identity } = inspect;
  if (identity.os_type !== 'windows') throw new Error(`it is ${identity.os_type}`);
  const guest = {
    ...guestOf({}),
    ...(await readWindowsSnapshot(join(workDirectory, inspect.snapshot))),
    ...{ identity, drivers, firstBootProgram: await firstBootProgram(identity) },
    options: options.config.fix,
  };
  const plan = planGuest(guest);
  const disk = { index: 0, image: '', format: 'qcow2' as const, virtual_size: 0, allocated: null };
  const flatten = { disks: [{ ...disk, used_bytes: 0, controller: null, sector_size: 512 as const }] };
  const context = {
    ...{ job: { id: 'one', vm: 'one' }, options, workDirectory, signal, log },
    ...{ progress: () => undefined, account: () => undefined, advanced: () => undefined },
    ...{ reserve: async () => undefined, closeGuest: async () => undefined, openSource: neverOpened },
    source: { directory: workDirectory, entries: [] },
    guest: async (): Promise<GuestAccess> => ({
      ...access,
      reader,
      capabilities: { ...access.capabilities, layers: null, trim: null },
    }),
  };
  const fixed = await fixStage.run(context, {
    ...{ flatten, inspect },
    plan: { plan, plan_file: '', diff_file: '' },
  });
  return { identity, plan, fixed };
}

/** The reader of a VM that has no disk but that one. */
async function withOneDisk(reader: GuestReader, index: number): Promise<GuestReader> {
  const { devices } = reader;
  const disk = (await devices.disks())[index]!;
  const isOwn = (device: string) => device === disk || device.replace(/\d+$/, '') === disk;
  return {
    ...reader,
    devices: {
      ...devices,
      disks: async () => [disk],
      partitions: async () => (await devices.partitions()).filter(isOwn),
    },
  };
}

async function neverOpened(): Promise<never> {
  throw new Error('FIX reads no source');
}
