import type { GuestReader } from '../../../access/guest-reader.js';
import { refusedBy } from '../../../access/tolerate.js';
import { Hyper2kvmError } from '../../../errors/error.js';
import { resolveDevice } from '../../../guest/device-names.js';
import type { Detection, GuestDisks } from '../../base/inspection.js';
import { WindowsPaths } from './paths.js';

/** NT 4 and Windows 2000 had the second name, and systems that were upgraded from them have it still. */
const SYSTEM_ROOTS = ['Windows', 'WINNT'];

export async function detectWindows(
  reader: GuestReader,
  { storage, controllers, chosenRoot }: GuestDisks,
): Promise<Detection> {
  const { filesystems } = storage;
  const unmountable: Detection['unmountable'][number][] = [];
  const roots: string[] = [];
  for (const { device, type } of filesystems) {
    if (type !== 'ntfs') continue;
    try {
      await reader.mount({ device, mountpoint: '/', options: '' }, 'ro');
      if ((await findSystemRoot(new WindowsPaths(reader))) !== null) roots.push(device);
    } catch (error) {
      const { message: reason, code } = refusedBy(error);
      unmountable.push({ device, reason, code });
    } finally {
      await reader.unmountAll();
    }
  }
  const chosen = chosenRoot === null ? null : resolveDevice(chosenRoot, { filesystems, controllers });
  const device = chooseRoot(roots, chosenRoot === null ? null : { spec: chosenRoot, device: chosen?.device });
  return { root: device === null ? null : { device, options: '' }, unmountable };
}

/** Returns the directory of Windows on the mounted filesystem, as it is spelled there; null if it has none. */
export async function findSystemRoot(paths: WindowsPaths): Promise<string | null> {
  for (const name of SYSTEM_ROOTS) {
    const config = await paths.find(`/${name}/System32/config`);
    if (config === null) continue;
    const hives = [await paths.find(`${config}/SYSTEM`), await paths.find(`${config}/SOFTWARE`)];
    if (hives.every((hive) => hive !== null)) return config.split('/').slice(0, 2).join('/');
  }
  return null;
}

function chooseRoot(
  roots: readonly string[],
  chosen: { spec: string; device: string | undefined } | null,
): string | null {
  if (chosen !== null) {
    const root = roots.find((device) => device === chosen.device);
    if (root !== undefined || roots.length === 0) return root ?? null;
    throw new Hyper2kvmError('inspect.windows-root', `windows.root: Windows is not on ${chosen.spec}`, {
      advice: `Windows is on ${roots.join(' and ')}: set windows.root to one of them, or leave it out if there is only one.`,
    });
  }
  if (roots.length > 1)
    throw new Hyper2kvmError('inspect.windows-root', `Windows is installed on ${roots.join(' and on ')}`, {
      advice: `Say which one the VM starts: windows.root = "${roots[0]}" in the job.toml. The other one is not changed.`,
    });
  return roots[0] ?? null;
}
