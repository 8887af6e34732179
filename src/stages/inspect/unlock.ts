import { realpath } from 'node:fs/promises';
import { dirname, isAbsolute, join, sep } from 'node:path';
import { inScript } from '../../appliance/disk-names.js';
import type { ApplianceSession } from '../../appliance/session.js';
import type { Config } from '../../config/schema.js';
import type { StageContext } from '../../engine/stage.js';
import { isErrorCode } from '../../errors/errno.js';
import { Hyper2kvmError } from '../../errors/error.js';
import { readSmallFile } from '../../files/small-file.js';
import { type DeviceContext, resolveDevice } from '../../guest/device-names.js';
import type { Filesystem, Unlocked } from '../../model/identity.js';

/** A LUKS container that the job has a key for. */
export interface LuksKey {
  /** As the job names it: `/dev/sda3`, `UUID=…`. */
  device: string;
  keyFile: string;
  key: Buffer;
}

/** As much as a job.toml: real keys have at most some kilobytes, and it is given to the appliance in a command. */
const LARGEST_KEY_BYTES = 64 * 1024;

/** Reads the key files of `[[guest.luks]]`. A relative name is looked for in the drop, beside the disks. Throws `inspect.luks-key-unreadable`. */
export async function readKeys(
  entries: Config['guest']['luks'],
  source: StageContext['source'],
): Promise<LuksKey[]> {
  return Promise.all(
    entries.map(async ({ device, key_file }) => ({
      device,
      keyFile: key_file,
      key: await readKey(key_file, source),
    })),
  );
}

async function readKey(file: string, { directory, entries }: StageContext['source']): Promise<Buffer> {
  const places = isAbsolute(file) ? [file] : ['', ...entries].map((entry) => join(directory, entry, file));
  let cause: unknown;
  for (const place of places) {
    try {
      if (!isAbsolute(file) && !(await isInside(directory, place))) continue;
      return await readSmallFile(place, LARGEST_KEY_BYTES);
    } catch (error) {
      // That it is not directly beside the disks says less than what is wrong with it in the directory.
      if (cause === undefined || !isErrorCode(error)) cause = error;
    }
  }
  throw new Hyper2kvmError('inspect.luks-key-unreadable', `the key file ${file} cannot be read`, {
    advice:
      'guest.luks.key_file is a plain file of at most 64 KiB: of a job.toml in the drop, beside the disks; of the configuration also an absolute path.',
    cause,
  });
}

/** No directory on the way may be a link that leads out. */
async function isInside(directory: string, place: string): Promise<boolean> {
  const [root, parent] = await Promise.all([realpath(directory), realpath(dirname(place))]);
  return parent === root || parent.startsWith(root + sep);
}

/**
 * Opens every container of `filesystems` that there is a key for as `/dev/mapper/luks-<uuid>`; what is open already stays. Returns all that are open. Throws
 * `inspect.luks-device` for a key whose device is none, `inspect.luks-key` where the key does not fit.
 */
export async function openContainers(
  session: ApplianceSession,
  keys: readonly LuksKey[],
  context: DeviceContext,
): Promise<Unlocked[]> {
  const open: Unlocked[] = [];
  for (const { device, keyFile, key } of keys) {
    const container = resolveDevice(device, context);
    if (container === null || container.type !== 'crypto_LUKS' || container.uuid === null) continue;
    const unlocked = { device: container.device, name: `luks-${container.uuid}`, key_file: keyFile };
    await openContainer(session, unlocked, key);
    open.push(unlocked);
  }
  return open;
}

/** Where FIX has an appliance of its own, the containers that INSPECT opened are closed again. */
export async function reopenContainers(
  session: ApplianceSession,
  unlocked: readonly Unlocked[],
  source: StageContext['source'],
): Promise<void> {
  for (const container of unlocked)
    await openContainer(session, container, await readKey(container.key_file, source));
  if (unlocked.length > 0) await session.call('vg_activate_all', true);
}

/** Every key must have met its container once all layers of storage were looked at. */
export function checkAllOpened(keys: readonly LuksKey[], context: DeviceContext): void {
  const stray = keys.find(({ device }) => resolveDevice(device, context)?.type !== 'crypto_LUKS');
  if (stray === undefined) return;
  const known = context.filesystems.filter(({ type }) => type === 'crypto_LUKS').map(nameOf);
  throw new Hyper2kvmError('inspect.luks-device', `${stray.device} is no LUKS container of this VM`, {
    advice: `guest.luks.device names it as the guest does (/dev/sda3, UUID=…). ${known.length === 0 ? 'The VM has none.' : `The VM has: ${known.join(', ')}.`}`,
  });
}

const nameOf = ({ device, uuid }: Filesystem) => (uuid === null ? device : `${device} (UUID=${uuid})`);

/**
 * `cryptsetup open` by the appliance's shell: the API's own call takes the key as a C string, and most key files hold NUL bytes. A key file that an editor ended with a
 * newline opens what was made without.
 */
async function openContainer(
  session: ApplianceSession,
  { device, name }: Unlocked,
  key: Buffer,
): Promise<void> {
  const trimmed = key.at(-1) === 0x0a ? key.subarray(0, -1) : key;
  const command = (bytes: Buffer) =>
    `printf %s '${bytes.toString('base64')}' | base64 -d | cryptsetup open --key-file - ${inScript(device)} '${name}'`;
  const attempts = [key, ...(trimmed.length < key.length ? [trimmed] : [])].map(command).join(' || ');
  const script = `test -e '/dev/mapper/${name}' || { modprobe dm_crypt; ${attempts}; } && udevadm settle`;
  try {
    await session.call('debug', 'sh', [script]);
  } catch (cause) {
    throw new Hyper2kvmError('inspect.luks-key', `the key for ${device} does not open it`, {
      advice:
        'Check guest.luks: key_file must hold exactly the bytes of a key or passphrase of this container.',
      // The script has the key in it: only what cryptsetup said may be shown.
      cause: new Error(lastLine(cause)),
    });
  }
}

function lastLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.includes('base64') ? 'cryptsetup refused the key' : (text.trim().split('\n').at(-1) ?? '');
}
