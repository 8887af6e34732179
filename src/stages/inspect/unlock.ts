import type { BlockDevices } from '../../access/block-devices.js';
import { refusal } from '../../access/tolerate.js';
import type { StageContext } from '../../engine/stage.js';
import { Hyper2kvmError } from '../../errors/error.js';
import { type DeviceContext, resolveDevice } from '../../guest/device-names.js';
import type { Filesystem, Unlocked } from '../../model/identity.js';
import { type LuksKey, readKey } from './luks-keys.js';

/**
 * Opens every container of `filesystems` that there is a key for as `/dev/mapper/luks-<uuid>`; containers
 * that are open already stay open. Returns all open ones. Throws `inspect.luks-device` if a key's device is
 * not a container, `inspect.luks-key` if the key does not open it.
 */
export async function openContainers(
  devices: BlockDevices,
  keys: readonly LuksKey[],
  context: DeviceContext,
): Promise<Unlocked[]> {
  const open: Unlocked[] = [];
  for (const { device, keyFile, key } of keys) {
    const container = resolveDevice(device, context);
    if (container === null || container.type !== 'crypto_LUKS' || container.uuid === null) continue;
    const unlocked = { device: container.device, name: `luks-${container.uuid}`, key_file: keyFile };
    await openContainer(devices, unlocked, key);
    open.push(unlocked);
  }
  return open;
}

/** Opens the containers of INSPECT again: in a new appliance of FIX they are closed. */
export async function reopenContainers(
  devices: BlockDevices,
  unlocked: readonly Unlocked[],
  source: StageContext['source'],
): Promise<void> {
  for (const container of unlocked)
    await openContainer(devices, container, await readKey(container.key_file, source));
  if (unlocked.length > 0) await devices.activateVolumes();
}

/** Checks, once all layers of storage are known, that every key belongs to a container. */
export function checkAllOpened(keys: readonly LuksKey[], context: DeviceContext): void {
  const stray = keys.find(({ device }) => resolveDevice(device, context)?.type !== 'crypto_LUKS');
  if (stray === undefined) return;
  const known = context.filesystems.filter(({ type }) => type === 'crypto_LUKS').map(nameOf);
  throw new Hyper2kvmError('inspect.luks-device', `${stray.device} is not a LUKS container of this VM`, {
    facts: known.length === 0 ? 'The VM has none.' : `The VM has: ${known.join(', ')}.`,
  });
}

const nameOf = ({ device, uuid }: Filesystem) => (uuid === null ? device : `${device} (UUID=${uuid})`);

/**
 * Opens a container. If the key file ends with a newline, which an editor may have added, the key without it
 * is tried too.
 */
async function openContainer(devices: BlockDevices, { device, name }: Unlocked, key: Buffer): Promise<void> {
  const keys = key.at(-1) === 0x0a ? [key, key.subarray(0, -1)] : [key];
  try {
    await devices.openLuks(device, name, keys);
  } catch (cause) {
    refusal(cause);
    throw new Hyper2kvmError('inspect.luks-key', `the key for ${device} does not open it`, {
      cause,
    });
  }
}
