import { configurationTooLarge } from '../../access/snapshot-collector.js';
import {
  type CapturedHive,
  type CapturedValue,
  capturedText,
  capturedTexts,
  capturedValue,
} from '../../guest/registry/captured.js';
import { textData, textsData } from '../../guest/registry/make-value.js';
import { upperCase } from '../../guest/registry/names.js';
import { REG } from '../../guest/registry/value.js';
import type { WindowsIdentity } from '../../model/identity.js';
import type { RegistryChange } from '../../operations/registry-values.js';
import type { Fixer } from '../base/fixer.js';
import { isVmwareService } from './base/vmware-names.js';
import { changeHive, controlSetOf, deleteValue, hiveOf, setValue } from './registry-edits.js';

const NAME = 'filters';
const FILTERS = new Set(['UPPERFILTERS', 'LOWERFILTERS']);

/** Runs before the services are switched off: a device whose filter does not load has no driver at all. */
export const filters: Fixer<WindowsIdentity> = {
  name: NAME,
  whileRunning: false,
  description:
    'VMware’s drivers (the list below) are taken out of the filters (UpperFilters, LowerFilters) of device classes, of single devices and of what a new device gets (CriticalDeviceDatabase): a keyboard or mouse whose filter is switched off does not work. A list that is then empty is deleted. VMware’s shared folders are taken out of the order of network providers. With fix.vmware_tools = "keep" both stay.',
  plan(guest) {
    if (guest.options.vmware_tools === 'keep') return { operations: [], warnings: [] };
    const system = hiveOf(guest, 'SYSTEM');
    const set = controlSetOf(guest);
    const operations = [
      ...changeHive(
        system,
        { fixer: NAME, reason: 'a device does not work if a filter of it is not loaded' },
        filterChanges(system, set),
      ),
      ...changeHive(
        system,
        { fixer: NAME, reason: 'VMware’s shared folders do not exist on KVM' },
        ['Order', 'HwOrder'].flatMap((order) =>
          withoutProvider(system, `${set}\\Control\\NetworkProvider\\${order}`),
        ),
      ),
    ];
    return { operations, warnings: [] };
  },
};

function filterChanges(system: CapturedHive, set: string): RegistryChange[] {
  const places = [
    `${set}\\Control\\Class\\`,
    `${set}\\Enum\\`,
    `${set}\\Control\\CriticalDeviceDatabase\\`,
  ].map(upperCase);
  const lists = system.keys.flatMap(({ path, values }) => {
    const upper = upperCase(path);
    if (!places.some((place) => upper.startsWith(place))) return [];
    return values
      .filter(({ name }) => FILTERS.has(upperCase(name)))
      .flatMap((value): FilterList[] => {
        const names = capturedTexts(value) ?? [];
        const kept = names.filter((name) => !isVmwareService(name));
        return kept.length === names.length ? [] : [{ path, value, kept }];
      });
  });
  if (lists.length > MAX_LISTS) throw configurationTooLarge();
  return lists.flatMap(({ path, value: { name }, kept }) =>
    kept.length === 0 ? deleteValue(system, path, name) : setValue(system, path, name, textsData(kept)),
  );
}

/** A list of filters that names a driver of VMware, and what is left of it. */
interface FilterList {
  path: string;
  value: CapturedValue;
  kept: string[];
}

/** Real guests have fewer than 50: each change of a hive takes time in the appliance. */
const MAX_LISTS = 1_000;

const PROVIDER = 'VMHGFS';

function withoutProvider(system: CapturedHive, path: string): RegistryChange[] {
  const order = capturedValue(system, path, 'ProviderOrder');
  const text = capturedText(order);
  if (order === null || text === null) return [];
  const names = text.split(',');
  const kept = names.filter((name) => upperCase(name.trim()) !== PROVIDER);
  if (kept.length === names.length) return [];
  const type = order.type === REG.expandSz ? REG.expandSz : REG.sz;
  return setValue(system, path, order.name, textData(kept.join(','), type));
}
