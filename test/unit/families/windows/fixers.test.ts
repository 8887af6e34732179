import { describe, expect, it } from 'vitest';
import { planGuest } from '../../../../src/families/plan.js';
import { isVmwareService } from '../../../../src/families/windows/base/vmware-names.js';
import { controlSetOf, hiveOf } from '../../../../src/families/windows/registry-edits.js';
import { restoresOf } from '../../../../src/families/windows/restores.js';
import { capturedValue } from '../../../../src/guest/registry/captured.js';
import { planDiff } from '../../../../src/stages/plan/plan-diff.js';
import { dword, multiSz, sz } from '../../guest/registry/make-hive.js';
import type { WindowsRecipe } from './make-windows.js';
import { hasKey, planWindows, systemValue } from './plan-windows.js';
import { SYSTEMS } from './systems.js';
import { WINDOWS_7_ON_VMWARE, WINDOWS_10_ON_VMWARE } from './vmware-facts.js';

const WINDOWS_7: WindowsRecipe = {
  ...{ build: 7601, product: 'Windows 7 Ultimate', edition: 'Ultimate', installation: 'Client' },
  ...{ machine: 'x86', firmware: 'bios', system: WINDOWS_7_ON_VMWARE },
};
const WINDOWS_10: WindowsRecipe = {
  ...{ build: 18362, product: 'Windows 10 Enterprise', edition: 'Enterprise', installation: 'Client' },
  ...{ machine: 'amd64', firmware: 'bios', system: WINDOWS_10_ON_VMWARE },
};
const withKeys = (recipe: WindowsRecipe, system: WindowsRecipe['system']): WindowsRecipe => ({
  ...recipe,
  system: { ...recipe.system, ...system },
});

const MOUSE = 'Control\\Class\\{4d36e96f-e325-11ce-bfc1-08002be10318}';
const dwordOf = (number: number) => ({ type: 4, data: Buffer.from([number, 0, 0, 0]).toString('hex') });
const dataOf = ({ type, data }: ReturnType<typeof sz>) => ({ type, data: data.toString('hex') });
const startOf = (guest: Parameters<typeof systemValue>[0], name: string) =>
  systemValue(guest, `Services\\${name}`, 'Start');

describe('controllers', () => {
  it('of Windows 8 and later start at boot, whatever StartOverride says', async () => {
    const { after } = await planWindows(WINDOWS_10);
    for (const name of ['storahci', 'stornvme', 'atapi', 'intelide']) {
      expect(startOf(after, name)).toEqual(dwordOf(0));
      expect(hasKey(after, `Services\\${name}\\StartOverride`)).toBe(false);
    }
  });

  it('of Windows 7 start at boot: msahci and pciide', async () => {
    const { guest, after } = await planWindows(WINDOWS_7);
    for (const name of ['msahci', 'pciide']) {
      expect(startOf(guest, name)).toEqual(dwordOf(3));
      expect(startOf(after, name)).toEqual(dwordOf(0));
    }
  });

  it('are not made where there is no such service', async () => {
    const { after } = await planWindows(WINDOWS_10);
    expect(startOf(after, 'pciide')).toBeNull();
    expect(hasKey(after, 'Services\\msahci')).toBe(false);
  });

  it('of VMware, and Microsoft’s own buses, stay as they are', async () => {
    const system = {
      '@\\Services\\pvscsi': [dword('Type', 1), dword('Start', 0)],
      '@\\Services\\pvscsi\\StartOverride': [dword('0', 3)],
      '@\\Services\\vmxnet3ndis6': [dword('Type', 1), dword('Start', 3)],
    };
    const { after } = await planWindows(withKeys(WINDOWS_10, system));
    expect(startOf(after, 'pvscsi')).toEqual(dwordOf(0));
    expect(startOf(after, 'LSI_SAS')).toEqual(dwordOf(0));
    expect(startOf(after, 'vmxnet3ndis6')).toEqual(dwordOf(3));
    expect(hasKey(after, 'Services\\pvscsi\\StartOverride')).toBe(true);
  });
});

describe('filters', () => {
  it('lose VMware’s drivers, and the list goes when it is empty', async () => {
    const { after } = await planWindows(WINDOWS_10);
    expect(systemValue(after, MOUSE, 'UpperFilters')).toEqual(dataOf(multiSz('', ['mouclass'])));
    expect(systemValue(after, MOUSE, 'LowerFilters')).toBeNull();
  });

  it('are taken from single devices and from what a new device gets', async () => {
    const { after } = await planWindows(WINDOWS_7);
    expect(systemValue(after, 'Enum\\ACPI\\PNP0F03\\4&1D401FB5&0', 'UpperFilters')).toBeNull();
    expect(systemValue(after, 'Control\\CriticalDeviceDatabase\\*PNP0F03', 'UpperFilters')).toBeNull();
    expect(systemValue(after, MOUSE, 'UpperFilters')).toEqual(dataOf(multiSz('', ['mouclass'])));
  });

  it('go before the services, so that a device keeps its driver', async () => {
    const { plan } = await planWindows(WINDOWS_10);
    const order = plan.operations.map(({ fixer }) => fixer);
    expect(order.lastIndexOf('filters')).toBeLessThan(order.indexOf('vmware-services'));
  });

  it('of more devices than any real guest has are refused', async () => {
    const devices = Array.from({ length: 1_001 }, (_, index) => [
      `@\\Enum\\HID\\VID_0E0F\\${index}`,
      [sz('UpperFilters', 'vmusbmouse')],
    ]);
    await expect(planWindows(withKeys(WINDOWS_10, Object.fromEntries(devices)))).rejects.toMatchObject({
      code: 'inspect.configuration-too-large',
    });
  });

  it('that are one text, not a list, count too', async () => {
    const system = { '@\\Enum\\HID\\VID_0E0F\\1': [sz('UpperFilters', 'vmusbmouse')] };
    const { after } = await planWindows(withKeys(WINDOWS_10, system));
    expect(systemValue(after, 'Enum\\HID\\VID_0E0F\\1', 'UpperFilters')).toBeNull();
  });

  it('of others stay, byte for byte, whatever their form', async () => {
    const odd = { name: 'UpperFilters', type: 7, data: Buffer.from('6b00620064000000', 'hex') };
    const { after } = await planWindows(withKeys(WINDOWS_10, { '@\\Control\\Class\\{odd}': [odd] }));
    expect(systemValue(after, 'Control\\Class\\{odd}', 'UpperFilters')).toEqual({
      type: 7,
      data: '6b00620064000000',
    });
  });

  it('that are no configuration any more, for their length, are left alone', async () => {
    const names = Array.from({ length: 5000 }, (_, index) => `vmmouse${index}`);
    const system = { '@\\Control\\Class\\{long}': [multiSz('UpperFilters', ['vmmouse', ...names])] };
    const { plan } = await planWindows(withKeys(WINDOWS_10, system));
    expect(JSON.stringify(plan.operations)).not.toContain('{long}');
  });
});

it('the order of network providers loses VMware’s shared folders', async () => {
  const { after } = await planWindows(WINDOWS_10);
  const order = (name: string) => systemValue(after, `Control\\NetworkProvider\\${name}`, 'ProviderOrder');
  expect(order('Order')).toEqual(dataOf(sz('', 'P9NP,RDPNP,LanmanWorkstation,webclient')));
  expect(order('HwOrder')).toEqual(dataOf(sz('', '')));
});

describe('VMware’s services', () => {
  it('are switched off, also under a name of another case', async () => {
    const { after } = await planWindows(WINDOWS_10);
    const off = ['vmci', 'vsock', 'vmhgfs', 'VMTools', 'VGAuthService', 'VMUsbMouse', 'vmmouse'];
    for (const name of [...off, 'VMwareCAFCommAmqpListener'])
      expect([name, startOf(after, name)]).toEqual([name, dwordOf(4)]);
    const old = await planWindows(WINDOWS_7);
    for (const name of ['vmdebug', 'VMMEMCTL', 'vmrawdsk', 'VMTools'])
      expect([name, startOf(old.after, name)]).toEqual([name, dwordOf(4)]);
  });

  it('without a Start value get none', async () => {
    const { after } = await planWindows(WINDOWS_10);
    for (const name of ['vmwefifw', 'pvscsi', 'vmxnet3ndis6']) expect(startOf(after, name)).toBeNull();
  });

  it.each(['vmbus', 'vmbusr', 'VMBusHID', 'vmgid', 'vmgencounter', 'vmicheartbeat', 'vmcompute', 'VMSP'])(
    'are not those of Microsoft, whose names begin alike: %s',
    (name) => expect(isVmwareService(name)).toBe(false),
  );

  it('stay with fix.vmware_tools = "keep", and so do their filters', async () => {
    const { plan, after } = await planWindows(WINDOWS_10, {}, { vmware_tools: 'keep' });
    expect(startOf(after, 'VMTools')).toEqual(dwordOf(2));
    expect(plan.operations.map(({ fixer }) => fixer)).not.toContain('filters');
  });
});

describe('first-boot-values', () => {
  it('keeps a blue screen, brings disks online, and notes what was there', async () => {
    const { guest, after } = await planWindows(WINDOWS_10);
    expect(systemValue(after, 'Control\\CrashControl', 'AutoReboot')).toEqual(dwordOf(0));
    expect(systemValue(after, 'Services\\partmgr\\Parameters', 'SanPolicy')).toEqual(dwordOf(1));
    const system = hiveOf(after, 'SYSTEM');
    expect(restoresOf(system, controlSetOf(guest))).toEqual([
      { key: 'Control\\CrashControl', name: 'AutoReboot', before: dwordOf(1) },
      { key: 'Services\\partmgr\\Parameters', name: 'SanPolicy', before: null },
    ]);
  });

  it('restores nothing that a guest has planted among what is noted', async () => {
    const planted = { '@\\Services\\hyper2kvm-firstboot\\Restore': [dword('Control\\a\tb\\x', 1)] };
    const { after } = await planWindows(withKeys(WINDOWS_10, planted));
    const names = restoresOf(hiveOf(after, 'SYSTEM'), 'ControlSet001').map(({ name }) => name);
    expect(names.sort()).toEqual(['AutoReboot', 'SanPolicy']);
  });

  it('restores nothing that is as it should be already', async () => {
    const { guest, after } = await planWindows(WINDOWS_7);
    expect(restoresOf(hiveOf(after, 'SYSTEM'), controlSetOf(guest))).toEqual([
      { key: 'Control\\CrashControl', name: 'AutoReboot', before: dwordOf(1) },
    ]);
  });

  it('keeps the note of an earlier conversion', async () => {
    const system = {
      '@\\Control\\CrashControl': [dword('AutoReboot', 1)],
      '@\\Services\\hyper2kvm-firstboot\\Restore': [dword('Control\\CrashControl\\AutoReboot', 7)],
    };
    const { guest, after } = await planWindows(withKeys(WINDOWS_10, system));
    expect(restoresOf(hiveOf(after, 'SYSTEM'), controlSetOf(guest))[0]).toMatchObject({ before: dwordOf(7) });
  });

  it.each([
    ['ClusDisk', 0, null],
    ['ClusSvc', 2, null],
    ['ClusDisk', 4, dwordOf(1)],
  ])('of a cluster’s node leaves the disks: %s with Start=%i', async (name, start, expected) => {
    const system = { [`@\\Services\\${name}`]: [dword('Start', start)] };
    const { plan, after } = await planWindows(withKeys(WINDOWS_10, system));
    expect(systemValue(after, 'Services\\partmgr\\Parameters', 'SanPolicy')).toEqual(expected);
    expect(plan.warnings.some(({ code }) => code === 'devices.windows-cluster')).toBe(expected === null);
  });
});

describe('device-path', () => {
  const KEY = 'Microsoft\\Windows\\CurrentVersion';
  const pathOf = (guest: Parameters<typeof hiveOf>[0]) => {
    const value = capturedValue(hiveOf(guest, 'SOFTWARE'), KEY, 'DevicePath');
    return value === null ? null : { type: value.type, data: value.data };
  };

  it('gets the directory of the drivers, and keeps what it has', async () => {
    const { after } = await planWindows(WINDOWS_10);
    expect(pathOf(after)).toEqual(dataOf(sz('', '%SystemRoot%\\inf;%SystemRoot%\\Drivers\\VirtIO', 2)));
  });

  it('gets it once', async () => {
    const { after } = await planWindows(WINDOWS_10);
    expect(JSON.stringify(planGuest(after).operations)).not.toContain('DevicePath');
  });
});

describe('windows-devices', () => {
  it('are SATA and e1000e without virtio-win, with a warning', async () => {
    const { plan } = await planWindows(WINDOWS_10);
    expect(plan.devices).toEqual({ disk_bus: 'sata', nic_model: 'e1000e' });
    expect(plan.warnings).toMatchObject([{ code: 'devices.windows-no-virtio' }]);
  });

  it('are VMware’s vmxnet3 where its driver is installed', async () => {
    const start = (number: number) => ({ '@\\Services\\vmxnet3ndis6': [dword('Start', number)] });
    expect((await planWindows(withKeys(WINDOWS_10, start(3)))).plan.devices.nic_model).toBe('vmxnet3');
    expect((await planWindows(withKeys(WINDOWS_10, start(4)))).plan.devices.nic_model).toBe('e1000e');
  });

  it('keep the cards’ own addresses', async () => {
    const { recipe, nics } = SYSTEMS['Windows Server 2019, two static vmxnet3, IPv6, a DNS suffix']!;
    const { plan } = await planWindows(recipe, { nics: nics ?? [] });
    expect(plan.nics).toEqual([
      { name: 'Ethernet0', mac: '00:0c:29:a9:c8:b1' },
      { name: 'Backup', mac: '00:50:56:01:02:00' },
    ]);
  });
});

describe.each(
  Object.entries({
    ...Object.fromEntries(Object.entries(SYSTEMS).map(([name, { recipe }]) => [name, recipe])),
    'Windows 7 on VMware': WINDOWS_7,
    'Windows 10 on VMware': WINDOWS_10,
  }),
)('%s', (_, recipe) => {
  it('is planned once: the second plan is empty', async () => {
    const { after } = await planWindows(recipe);
    expect(planGuest(after).operations).toEqual([]);
  });

  it('is changed in the control set alone that it starts with', async () => {
    const { guest, plan } = await planWindows(recipe);
    const set = controlSetOf(guest);
    for (const operation of plan.operations)
      if (operation.op === 'registry' && operation.path.endsWith('/SYSTEM'))
        for (const { key } of operation.changes) expect(key.startsWith(`${set}\\`)).toBe(true);
  });
});

it('the diff shows it as regedit writes it', async () => {
  const { plan } = await planWindows(WINDOWS_7);
  const diff = planDiff(plan);
  expect(diff).toContain(
    ' [ControlSet001\\Services\\msahci]\n-"Start"=dword:00000003\n+"Start"=dword:00000000\n',
  );
  expect(diff).toContain('-"UpperFilters"=multi_sz:"VMMouse"\n');
  expect(diff).toContain('+"DevicePath"=expand_sz:"%SystemRoot%\\\\inf;%SystemRoot%\\\\Drivers\\\\VirtIO"\n');
});
