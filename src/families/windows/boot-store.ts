import { readBootStore } from '../../guest/bcd.js';
import { capturedValue } from '../../guest/registry/captured.js';
import { openHive } from '../../guest/registry/hive.js';
import type { WindowsIdentity } from '../../model/identity.js';
import type { Warning } from '../../model/plan.js';
import { unproven } from '../../operations/prove-outcomes.js';
import type { RegistryValues } from '../../operations/registry-values.js';
import type { Fixer, Guest } from '../base/fixer.js';
import { matchesRoot } from './inspect/boot-store.js';

const NAME = 'boot-store';
/** The element `graphicsmodedisabled`. */
const GRAPHICS_DISABLED = '16000046';

/**
 * The boot configuration (BCD). It names partitions by their disk's signature or by GUIDs, and no controller,
 * so that a change of the bus does not concern it. PLAN refuses a guest whose default entry is on another
 * partition (refusal.ts).
 */
export const bootStore: Fixer<WindowsIdentity> = {
  name: NAME,
  whileRunning: false,
  description:
    'The boot configuration (BCD) must start the partition that Windows is on: if its default entry names another one, PLAN refuses the guest (0xc000000e or 0xc0000225 would be its only picture). In that entry the element `graphicsmodedisabled` is removed, with which the boot manager has no picture on KVM. Nothing else in it is changed; safe mode and test signing are reported.',
  plan: (guest) => ({ operations: withGraphics(guest), warnings: unreachable(guest) }),
  proof: {
    // Without a change, INSPECT’s look at the store stands.
    paths: ({ identity: { boot_store: store } }) =>
      store !== null && store.path !== null && store.graphics_disabled ? [store.path] : [],
    check({ after: { identity }, read }) {
      const { root, boot_store: facts } = identity;
      if (facts === null || facts.path === null || !facts.graphics_disabled) return [];
      const bytes = read(facts.path);
      if (bytes === null) throw unproven(facts.path, 'it does not exist');
      const store = readBootStore(openHive(bytes));
      if (store.default?.graphicsDisabled !== false)
        throw unproven(facts.path, 'its default entry still turns graphics off');
      if (matchesRoot(store, root, identity) === false)
        throw unproven(facts.path, `its default entry does not start ${root}`);
      return [`the boot configuration starts ${root}`];
    },
  },
};

/** FIX mounts the partition with the store over a directory of Windows; an ESP may need the fallback loader. */
function unreachable({ identity }: Guest<WindowsIdentity>): Warning[] {
  const { boot_store: store, system_root, firmware } = identity;
  if (store === null || store.path !== null || !(store.graphics_disabled || firmware === 'uefi')) return [];
  const message = `the boot files on ${store.device} stay as they are: ${system_root} has neither a Boot nor a Temp directory, over which it could be mounted`;
  return [{ fixer: NAME, code: 'windows.boot-volume', message }];
}

function withGraphics({ identity, registry }: Guest<WindowsIdentity>): RegistryValues[] {
  const { path = null, entry = null, graphics_disabled } = identity.boot_store ?? {};
  const hive = registry.find((candidate) => candidate.path === path);
  if (path === null || entry === null || hive === undefined || graphics_disabled !== true) return [];
  const key = `Objects\\${entry}\\Elements\\${GRAPHICS_DISABLED}`;
  if (capturedValue(hive, key, 'Element') === null) return [];
  const reason = `the boot manager has graphics turned off, for a screen that KVM does not have; the store is on ${identity.boot_store?.device}`;
  return [{ op: 'registry', fixer: NAME, reason, path, changes: [{ change: 'delete-key', key }] }];
}
