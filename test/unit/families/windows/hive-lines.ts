import type { RegistryKey } from '../../../../src/guest/registry/hive.js';
import { valueLine } from '../../../../src/guest/registry/print.js';

/** Each key by its path, with its class and its values in the order of their names. */
export function hiveLines(root: RegistryKey): Map<string, string> {
  const keys = new Map<string, string>();
  const add = (key: RegistryKey, path: string) => {
    const values = [...key.values()].map(valueLine).sort();
    keys.set(path, [key.className ?? '', ...values].join('\n'));
    for (const child of key.subkeys()) add(child, path === '' ? child.name : `${path}\\${child.name}`);
  };
  add(root, '');
  return keys;
}
