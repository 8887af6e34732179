import { describe, expect, it } from 'vitest';
import { LAB_SIGNERS, labDrivers } from './drivers/lab-drivers.js';
import { program, signedProgram } from './drivers/virtio-win.js';
import { fixedWindows } from './fixed-windows.js';
import { DISK_IDS, loaderProblem } from './loader-model.js';
import type { WindowsRecipe } from './make-windows.js';
import { GROUPS, type LabWindows } from './nine.js';
import { WINDOWS_7_ON_VMWARE, WINDOWS_10_ON_VMWARE } from './vmware-facts.js';

type Case = Pick<LabWindows, 'recipe' | 'os' | 'target'>;

function windows(
  build: number,
  os: string,
  { machine = 'amd64', system = WINDOWS_10_ON_VMWARE, ...more }: Partial<WindowsRecipe> = {},
): Case {
  const isServer = os.startsWith('2k');
  const installation = isServer ? 'Server' : 'Client';
  const product = isServer ? 'Windows Server' : 'Windows';
  return {
    os,
    recipe: {
      ...{ build, product, edition: 'Standard', installation, machine, firmware: 'bios' },
      ...more,
      system: { ...system, ...GROUPS },
    },
    target: {
      ...{ build, architecture: machine === 'x86' ? 'x86' : 'amd64' },
      product: isServer ? 'server' : 'workstation',
    },
  };
}

/** Beside the nine of golden.test.ts. */
const CASES: Record<string, Case> = {
  'Windows 7 x64': windows(7601, 'w7', { system: WINDOWS_7_ON_VMWARE }),
  'Windows 10 x86': windows(19_045, 'w10', { machine: 'x86' }),
  'Windows 10': windows(19_045, 'w10'),
  'Server 2008 R2': windows(7601, '2k8R2', { system: WINDOWS_7_ON_VMWARE }),
};

/** The guest after FIX. */
async function converted(found: Case) {
  return fixedWindows(found, await labDrivers(found.target, found.os, ['viostor', 'vioscsi']));
}

describe('the boot loader would load the disk driver of', () => {
  it.each(Object.entries(CASES))('%s, for each virtio disk', async (_, found) => {
    const { view } = await converted(found);
    for (const [device, ids] of Object.entries(DISK_IDS))
      expect([device, loaderProblem(view(), ids)]).toEqual([device, null]);
  });
});

describe('it would not', () => {
  type Guest = Awaited<ReturnType<typeof converted>>;
  const SYS = '/Windows/System32/drivers/viostor.sys';
  const number = (value: number) => ({ type: 4, data: `0${value}000000` });
  const text = (value: string) => ({ type: 1, data: Buffer.from(`${value}\0`, 'utf16le').toString('hex') });
  const set = (guest: Guest, key: string, name: string, value: { type: number; data: string }) =>
    guest.edit([{ edit: 'set', key: `${guest.set}\\${key}`, name, ...value }]);
  const SERVICE = 'Services\\viostor';
  const LABEL = 'DriverDatabase\\DriverPackages\\h2kviostor.inf_amd64_0000000000000000';

  it.each<[string, (guest: Guest) => unknown, RegExp]>([
    ['with Start=3', (guest) => set(guest, SERVICE, 'Start', number(3)), /not started at boot/],
    ['of another type', (guest) => set(guest, SERVICE, 'Type', number(2)), /no kernel driver/],
    [
      'with a StartOverride',
      (guest) => set(guest, `${SERVICE}\\StartOverride`, '0', number(3)),
      /StartOverride/,
    ],
    ['in a group without order', (guest) => set(guest, SERVICE, 'Group', text('Extended Base')), /group/],
    ['on another bus', (guest) => set(guest, `${SERVICE}\\Parameters`, 'BusType', number(2)), /bus type/],
    [
      'named elsewhere',
      (guest) => set(guest, SERVICE, 'ImagePath', text('system32\\viostor.sys')),
      /missing/,
    ],
    ['that is not there', ({ files }) => files.delete(SYS), /missing/],
    [
      'for another machine',
      ({ files }) => files.set(SYS, signedProgram('viostor', 'x86', LAB_SIGNERS.publisher)),
      /another machine/,
    ],
    ['without a signature', ({ files }) => files.set(SYS, program('viostor', 'amd64')), /not signed/],
    [
      'changed after it was signed',
      ({ files }) => {
        const driver = Buffer.from(files.get(SYS)!);
        driver[0x1ff] = 1;
        files.set(SYS, driver);
      },
      /another file/,
    ],
    [
      'whose device is not known',
      (guest) =>
        guest.edit(
          DISK_IDS['virtio-blk-pci'].map((id) => ({
            edit: 'delete-key',
            key: `DriverDatabase\\DeviceIds\\PCI\\${id}`,
          })),
        ),
      /no id/,
    ],
    [
      'whose package is not known',
      ({ edit }) => edit([{ edit: 'delete-key', key: 'DriverDatabase\\DriverInfFiles\\h2kviostor.inf' }]),
      /no id/,
    ],
    [
      'whose package has no configuration',
      ({ edit }) => edit([{ edit: 'delete-key', key: `${LABEL}\\Configurations` }]),
      /no id/,
    ],
    [
      'whose service is gone',
      ({ edit, set: own }) => edit([{ edit: 'delete-key', key: `${own}\\${SERVICE}` }]),
      /no service/,
    ],
    [
      'in a control set that does not start',
      ({ edit }) => edit([{ edit: 'set', key: 'Select', name: 'Current', ...number(2) }]),
      /no service/,
    ],
  ])('one %s', async (_, damage, problem) => {
    const guest = await converted(CASES['Windows 10']!);
    await damage(guest);
    expect(loaderProblem(guest.view(), DISK_IDS['virtio-blk-pci'])).toMatch(problem);
  });

  it('one of Windows 7 without CriticalDeviceDatabase', async () => {
    const guest = await converted(CASES['Windows 7 x64']!);
    await guest.edit([{ edit: 'delete-key', key: `${guest.set}\\Control\\CriticalDeviceDatabase` }]);
    expect(loaderProblem(guest.view(), DISK_IDS['virtio-blk-pci'])).toMatch(/no id/);
  });
});
