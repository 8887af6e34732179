import { describe, expect, it } from 'vitest';
import { planGuest } from '../../../../src/families/plan.js';
import type { WindowsGuest } from '../../../../src/families/windows/registry-edits.js';
import { hiveOf } from '../../../../src/families/windows/registry-edits.js';
import { capturedValue } from '../../../../src/guest/registry/captured.js';
import { upperCase } from '../../../../src/guest/registry/names.js';
import { valueLine } from '../../../../src/guest/registry/print.js';
import type { DriverSet } from '../../../../src/model/driver-set.js';
import { applyOperations } from '../../../../src/operations/apply-operations.js';
import { planDiff } from '../../../../src/stages/plan/plan-diff.js';
import { dword, multiSz, sz } from '../../guest/registry/make-hive.js';
import { labDrivers } from './drivers/lab-drivers.js';
import type { Keys, WindowsRecipe } from './make-windows.js';
import { planWindows } from './plan-windows.js';
import { WINDOWS_7_ON_VMWARE, WINDOWS_10_ON_VMWARE } from './vmware-facts.js';

const GROUPS: Keys = {
  '@\\Control\\ServiceGroupOrder': [
    multiSz('List', ['System Reserved', 'Boot Bus Extender', 'System Bus Extender', 'SCSI miniport', 'Port']),
  ],
};
const WINDOWS_7: WindowsRecipe = {
  ...{ build: 7601, product: 'Windows 7 Ultimate', edition: 'Ultimate', installation: 'Client' },
  ...{ machine: 'x86', firmware: 'bios', system: { ...WINDOWS_7_ON_VMWARE, ...GROUPS } },
};
const WINDOWS_10: WindowsRecipe = {
  ...{ build: 18_363, product: 'Windows 10 Pro', edition: 'Professional', installation: 'Client' },
  ...{ machine: 'amd64', firmware: 'bios', system: { ...WINDOWS_10_ON_VMWARE, ...GROUPS } },
};
const FOR_7 = { build: 7601, architecture: 'x86' } as const;
const FOR_10 = { build: 18_363, architecture: 'amd64' } as const;

/** Lines of the guest's SYSTEM below `path`, as regedit writes them, by key. */
function below({ registry }: Pick<WindowsGuest, 'registry'>, path: string): Record<string, string[]> {
  const prefix = upperCase(path);
  const keys = hiveOf({ registry }, 'SYSTEM').keys.filter(({ path: key }) => {
    const upper = upperCase(key);
    return upper === prefix || upper.startsWith(`${prefix}\\`);
  });
  return Object.fromEntries(
    keys.map(({ path: key, values }) => [
      key.slice(path.length + 1),
      values.map(({ name, type, data }) => valueLine({ name, type, data: Buffer.from(data, 'hex') })).sort(),
    ]),
  );
}

/** From WINDOWS-FIXES: what a service needs, and no more. */
const serviceOf = (name: string, busType: string, more: string[] = []) => ({
  '': [
    '"ErrorControl"=dword:00000001',
    '"Group"="SCSI miniport"',
    `"ImagePath"=expand_sz:"system32\\\\drivers\\\\${name}.sys"`,
    '"Start"=dword:00000000',
    '"Type"=dword:00000001',
  ],
  Parameters: [`"BusType"=dword:${busType}`, ...more],
  'Parameters\\PnpInterface': ['"5"=dword:00000001'],
});

const IDS = {
  viostor: [
    'VEN_1AF4&DEV_1001',
    'VEN_1AF4&DEV_1001&REV_00',
    'VEN_1AF4&DEV_1001&SUBSYS_00021AF4&REV_00',
    'VEN_1AF4&DEV_1042',
    'VEN_1AF4&DEV_1042&REV_01',
    'VEN_1AF4&DEV_1042&SUBSYS_11001AF4&REV_01',
  ],
  vioscsi: [
    'VEN_1AF4&DEV_1004',
    'VEN_1AF4&DEV_1004&REV_00',
    'VEN_1AF4&DEV_1004&SUBSYS_00081AF4&REV_00',
    'VEN_1AF4&DEV_1048',
    'VEN_1AF4&DEV_1048&REV_01',
    'VEN_1AF4&DEV_1048&SUBSYS_11001AF4&REV_01',
  ],
} as const;

describe('Windows 7', () => {
  it('starts from both disk drivers', async () => {
    const { after, plan } = await planWindows(WINDOWS_7, {}, {}, await labDrivers(FOR_7, 'w7'));
    expect(below(after, 'ControlSet001\\Services\\viostor')).toEqual(
      serviceOf('viostor', '00000001', ['"DmaRemappingCompatible"=dword:00000000']),
    );
    expect(below(after, 'ControlSet001\\Services\\vioscsi')).toEqual(serviceOf('vioscsi', '0000000a'));
    expect(plan.devices).toMatchObject({ disk_bus: 'virtio', nic_model: 'virtio' });
  });

  it('finds them by CriticalDeviceDatabase', async () => {
    const { after } = await planWindows(WINDOWS_7, {}, {}, await labDrivers(FOR_7, 'w7'));
    const found = below(after, 'ControlSet001\\Control\\CriticalDeviceDatabase');
    delete found['*PNP0F03'];
    const expected = Object.entries(IDS).flatMap(([service, ids]) =>
      ids.map((id): [string, string[]] => [
        `PCI#${id}`,
        ['"ClassGUID"="{4D36E97B-E325-11CE-BFC1-08002BE10318}"', `"Service"="${service}"`],
      ]),
    );
    expect(found).toEqual(Object.fromEntries(expected));
    expect(below(after, 'DriverDatabase')).toEqual({});
  });
});

describe('Windows 10', () => {
  it('finds its disk drivers by a package of our own in DriverDatabase', async () => {
    const { after } = await planWindows(WINDOWS_10, {}, {}, await labDrivers(FOR_10, 'w10'));
    const found = below(after, 'DriverDatabase');
    const label = 'h2kviostor.inf_amd64_0000000000000000';
    expect(found['DriverInfFiles\\h2kviostor.inf']).toEqual([
      `"Active"="${label}"`,
      '"Configurations"=multi_sz:"scsi_inst"',
      `@=multi_sz:"${label}"`,
    ]);
    // 9.0 without a date: the class's GUID, 2023-07-29 as FILETIME, 100.94.104.24800 from the last part on.
    const version = [
      '00ff090000000000',
      '7be9364d25e3ce11bfc108002be10318',
      '00c0189eafc1d901',
      'e06068005e006400',
      '0000000000000000',
    ].join('');
    expect(found[`DriverPackages\\${label}`]).toEqual([
      '"Provider"="Red Hat, Inc."',
      `"Version"=hex:${version.replace(/..(?!$)/g, '$&,')}`,
      '@="h2kviostor.inf"',
    ]);
    expect(found[`DriverPackages\\${label}\\Configurations\\scsi_inst`]).toEqual([
      '"ConfigFlags"=dword:00000000',
      '"Service"="viostor"',
    ]);
    for (const [driver, ids] of Object.entries(IDS))
      for (const id of ids) {
        const rank = id.includes('SUBSYS') ? '01' : '02';
        expect(found[`DeviceIds\\PCI\\${id}`]).toEqual([`"h2k${driver}.inf"=hex:${rank},ff,00,00`]);
        const own = `DriverPackages\\h2k${driver}.inf_amd64_0000000000000000`;
        expect(found[`${own}\\Descriptors\\PCI\\${id}`]).toEqual(['"Configuration"="scsi_inst"']);
      }
    expect(found['DeviceIds\\{4d36e97b-e325-11ce-bfc1-08002be10318}']).toEqual([
      '"h2kvioscsi.inf"=hex(0):',
      '"h2kviostor.inf"=hex(0):',
    ]);
    expect(below(after, 'ControlSet001\\Control\\CriticalDeviceDatabase')).toEqual({});
  });

  it('needs nothing more after a conversion', async () => {
    const drivers = await labDrivers(FOR_10, 'w10');
    const { after, plan } = await planWindows(WINDOWS_10, {}, {}, drivers);
    expect(plan.operations.filter(({ op }) => op === 'copy_driver')).toHaveLength(4);
    expect(planGuest(after).operations).toEqual([]);
  });

  it('loses a StartOverride and what another tool has set', async () => {
    const service: Keys = {
      '@\\Services\\VioStor': [
        dword('Start', 3),
        sz('Group', 'Unheard of'),
        sz('ImagePath', 'elsewhere.sys', 2),
      ],
      '@\\Services\\VioStor\\StartOverride': [dword('0', 3)],
    };
    const recipe = { ...WINDOWS_10, system: { ...WINDOWS_10.system, ...service } };
    const { after } = await planWindows(recipe, {}, {}, await labDrivers(FOR_10, 'w10'));
    expect(below(after, 'ControlSet001\\Services\\viostor')).toEqual(
      serviceOf('viostor', '00000001', ['"DmaRemappingCompatible"=dword:00000000']),
    );
  });

  it('keeps a group of the INF that Windows orders, and no other', async () => {
    const drivers = await labDrivers(FOR_10, 'w10', ['viostor']);
    const group = async (name: string) => {
      const set = structuredClone(drivers);
      for (const { services } of set.packages) services[0]!.loadOrderGroup = name;
      const { after } = await planWindows(WINDOWS_10, {}, {}, set);
      return below(after, 'ControlSet001\\Services\\viostor')['']?.[1];
    };
    expect(await group('port')).toBe('"Group"="port"');
    expect(await group('Extended Base')).toBe('"Group"="SCSI miniport"');
  });
});

describe('a guest with a remnant of a service', () => {
  it('gets what the service lacks, though the file is as new as ours', async () => {
    const drivers: DriverSet = structuredClone(await labDrivers(FOR_10, 'w10', ['viostor']));
    for (const { files } of drivers.packages) for (const file of files) file.version = '100.94.104.24800';
    const system = { ...WINDOWS_10.system, '@\\Services\\viostor\\Parameters': [dword('BusType', 0xe)] };
    const { guest } = await planWindows({ ...WINDOWS_10, system }, {}, {}, drivers);
    const own = {
      ...{ service: 'viostor' as const, version: '100.94.104.24800' },
      path: '/Windows/System32/drivers/viostor.sys',
    };
    const { operations } = planGuest({ ...guest, identity: { ...guest.identity, virtio_drivers: [own] } });
    expect(operations.map(({ op }) => op)).not.toContain('copy_driver');
    const service = below(applyOperations(guest, operations), 'ControlSet001\\Services\\viostor');
    expect(service['']).toEqual(serviceOf('viostor', '')['']);
    expect(service.Parameters).toContain('"BusType"=dword:0000000e');
  });
});

describe('a guest with a driver of its own', () => {
  const OWN: Keys = {
    '@\\Services\\viostor': [
      dword('Type', 1),
      dword('Start', 3),
      dword('ErrorControl', 1),
      sz('Group', 'SCSI miniport'),
      sz('ImagePath', 'System32\\DriverStore\\FileRepository\\viostor.inf_amd64_1\\viostor.sys', 2),
    ],
    '@\\Services\\viostor\\Parameters': [dword('BusType', 0xe)],
  };
  /** The plan for a guest whose viostor has this version; the lab's package has 100.94.104.24800. */
  async function planned(version: string | null) {
    const drivers: DriverSet = structuredClone(await labDrivers(FOR_10, 'w10', ['viostor', 'NetKVM']));
    for (const { files } of drivers.packages) for (const file of files) file.version = '100.94.104.24800';
    const recipe = { ...WINDOWS_10, system: { ...WINDOWS_10.system, ...OWN } };
    const { guest } = await planWindows(recipe, {}, {}, drivers);
    const path = '/Windows/System32/DriverStore/FileRepository/viostor.inf_amd64_1/viostor.sys';
    const identity = { ...guest.identity, virtio_drivers: [{ service: 'viostor' as const, path, version }] };
    const plan = planGuest({ ...guest, identity });
    return { plan, after: applyOperations(guest, plan.operations) };
  }
  const copied = ({ operations }: Awaited<ReturnType<typeof planned>>['plan']) =>
    operations.flatMap((operation) => (operation.op === 'copy_driver' ? [operation.package] : []));

  it('is not told to install a package whose files it does not get', async () => {
    const steps = async (version: string) =>
      (await planned(version)).plan.operations.flatMap((operation) =>
        operation.op === 'first_boot' ? operation.text.match(/^driver-\w+/gm) : [],
      );
    expect(await steps('101.0.0.0')).toEqual(['driver-netkvm']);
    expect(await steps('61.96.0.0')).toEqual(['driver-viostor', 'driver-netkvm']);
  });

  it.each(['100.94.104.24800', '100.95.0.1', '101.0.0.0'])(
    'of version %s keeps it and starts from it',
    async (version) => {
      const { plan, after } = await planned(version);
      expect(copied(plan)).toEqual(['netkvm']);
      const service = below(after, 'ControlSet001\\Services\\viostor');
      expect(service['']).toEqual([
        '"ErrorControl"=dword:00000001',
        '"Group"="SCSI miniport"',
        '"ImagePath"=expand_sz:"System32\\\\DriverStore\\\\FileRepository\\\\viostor.inf_amd64_1\\\\viostor.sys"',
        '"Start"=dword:00000000',
        '"Type"=dword:00000001',
      ]);
      // Its own parameters stay; what the INF has beyond them is added.
      expect(service.Parameters).toEqual([
        '"BusType"=dword:0000000e',
        '"DmaRemappingCompatible"=dword:00000000',
      ]);
      expect(below(after, 'DriverDatabase\\DeviceIds\\PCI\\VEN_1AF4&DEV_1042')['']).toEqual([
        '"h2kviostor.inf"=hex:02,ff,00,00',
      ]);
    },
  );

  it.each(['100.94.104.24799', '100.9.999.99999', '61.96.0.0', null])(
    'of version %s gets ours',
    async (version) => {
      const { plan, after } = await planned(version);
      expect(copied(plan)).toEqual(['viostor', 'netkvm']);
      expect(below(after, 'ControlSet001\\Services\\viostor')['']).toContain(
        '"ImagePath"=expand_sz:"system32\\\\drivers\\\\viostor.sys"',
      );
    },
  );
});

describe('devices', () => {
  const devicesOf = async (recipe: WindowsRecipe, drivers: DriverSet) =>
    (await planWindows(recipe, {}, {}, drivers)).plan;
  const VMXNET3: Keys = { '@\\Services\\vmxnet3ndis6': [dword('Type', 1), dword('Start', 3)] };

  it('without a disk driver are SATA disks, with a warning', async () => {
    const plan = await devicesOf(WINDOWS_10, await labDrivers(FOR_10, 'w10', ['NetKVM']));
    expect(plan.devices).toEqual({ disk_bus: 'sata', nic_model: 'virtio' });
    expect(plan.warnings).toContainEqual(
      expect.objectContaining({
        code: 'drivers.no-storage',
        message: expect.stringMatching(/; it gets sata disks$/),
      }),
    );
    expect(plan.operations.some(({ fixer }) => fixer === 'boot-drivers')).toBe(false);
  });

  it.each([
    ['vmxnet3', VMXNET3],
    ['e1000e', {}],
  ])('without NetKVM are a %s card, with a warning', async (model, more) => {
    const recipe = { ...WINDOWS_10, system: { ...WINDOWS_10.system, ...more } };
    const plan = await devicesOf(recipe, await labDrivers(FOR_10, 'w10', ['viostor']));
    expect(plan.devices).toEqual({ disk_bus: 'virtio', nic_model: model });
    expect(plan.warnings.map(({ code }) => code)).toContain('drivers.no-network');
  });

  it('of an old driver are transitional', async () => {
    const drivers = structuredClone(await labDrivers(FOR_10, 'w10', ['viostor']));
    for (const driver of drivers.packages)
      driver.devices = driver.devices.filter(({ ids }) => ids.some((id) => id.includes('DEV_1001')));
    expect((await devicesOf(WINDOWS_10, drivers)).devices).toMatchObject({ virtio: 'transitional' });
  });
});

it('an INF with an impossible date has a package without one', async () => {
  const drivers = structuredClone(await labDrivers(FOR_10, 'w10', ['viostor']));
  for (const driver of drivers.packages) driver.driverVersion = { date: '2023-13-45', version: '1.2.3.4' };
  const { after } = await planWindows(WINDOWS_10, {}, {}, drivers);
  const key = 'DriverDatabase\\DriverPackages\\h2kviostor.inf_amd64_0000000000000000';
  const version = capturedValue(hiveOf(after, 'SYSTEM'), key, 'Version')?.data;
  expect(version?.slice(48)).toBe(`${'0'.repeat(16)}0400030002000100${'0'.repeat(16)}`);
});

it('sets access rights of directories of ours alone, spelled as the guest has them', async () => {
  const planned = async (files: WindowsRecipe['files']) => {
    const drivers = await labDrivers(FOR_10, 'w10', ['viostor', 'NetKVM']);
    const { plan } = await planWindows({ ...WINDOWS_10, files: files ?? {} }, {}, {}, drivers);
    return plan.operations.flatMap((operation) => (operation.op === 'copy_driver' ? [operation] : []));
  };
  const [first, second] = await planned({});
  expect(first?.directories).toEqual(['/Windows/Drivers', '/Windows/Drivers/VirtIO']);
  expect(second).toMatchObject({ fixer: 'driver-files', package: 'netkvm', directories: [] });
  const [other] = await planned({
    '/Windows/drivers/VIRTIO/VioStor.sys': 'other',
    '/Windows/drivers/mine.txt': '',
  });
  expect(other?.directories).toEqual(['/Windows/drivers/VIRTIO']);
  expect(other?.files.map(({ path }) => path)).toEqual([
    '/Windows/drivers/VIRTIO/viostor.inf',
    '/Windows/drivers/VIRTIO/VioStor.sys',
    '/Windows/System32/drivers/viostor.sys',
    '/Windows/drivers/VIRTIO/viostor.cat',
  ]);
});

it('plan.diff shows which files come from where, of which version, signed by whom', async () => {
  const { plan } = await planWindows(WINDOWS_10, {}, {}, await labDrivers(FOR_10, 'w10', ['viostor']));
  const diff = planDiff(plan);
  expect(diff).toContain(
    '# copy viostor 100.94.104.24800 from viostor/w10/amd64 of virtio-win, signed by Lab Hardware Compatibility Publisher\n' +
      '#   /Windows/Drivers/\n' +
      '#   /Windows/Drivers/VirtIO/\n' +
      '#   /Windows/Drivers/VirtIO/viostor.inf (sha256 ',
  );
  expect(diff).toContain('#   /Windows/System32/drivers/viostor.sys (sha256 ');
  expect(diff).toContain('+"Start"=dword:00000000');
});
