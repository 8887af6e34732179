import { shortLines } from '../../fixers/edit.js';
import { type DeviceContext, resolveDevice } from '../../fixers/linux/device-names.js';
import type { GuestTree } from '../../guest/tree.js';
import type { Unlocked } from './schema.js';

/**
 * The guest's own names of containers that the appliance opened under another: crypttab(5) says which. `/dev/mapper/cryptroot` → `/dev/mapper/luks-<uuid>`. Pure.
 */
export function volumeAliases(
  tree: GuestTree,
  context: DeviceContext,
  unlocked: readonly Unlocked[],
): Record<string, string> {
  const lines = shortLines(tree.text('/etc/crypttab')?.text ?? '');
  const pairs = lines.flatMap((line) => {
    const [name = '#', spec] = line.trim().split(/\s+/);
    if (name.startsWith('#') || spec === undefined) return [];
    const device = resolveDevice(spec, context)?.device;
    const container = unlocked.find((candidate) => candidate.device === device);
    return container === undefined ? [] : [[`/dev/mapper/${name}`, `/dev/mapper/${container.name}`]];
  });
  return Object.fromEntries(pairs);
}
