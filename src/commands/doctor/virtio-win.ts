import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { errorRecord, Hyper2kvmError } from '../../errors/error.js';
import type { DriverPackage } from '../../families/windows/drivers/driver-set.js';
import { type Offer, offersOf } from '../../families/windows/drivers/offer.js';
import { openVirtioWin } from '../../families/windows/drivers/open.js';
import { readCatalogue } from '../../families/windows/drivers/read-catalogue.js';
import { type Check, type Finding, fail, ok, warn } from './check.js';

const NAME = 'virtio-win';
const NEWER = 'Get a virtio-win package that has them, or convert with SATA disks and an e1000e card.';

/**
 * Reports what the operator's virtio-win has for each Windows, a row for each. An ISO is unpacked into a
 * scratch directory, because doctor leaves nothing behind.
 */
export const checkVirtioWin: Check = async ({ config, signal }) => {
  const path = config.windows.virtio_win;
  if (path === '')
    return [ok(NAME, 'windows.virtio_win is not set: there are no drivers for Windows guests')];
  const scratch = await mkdtemp(join(tmpdir(), 'h2k-virtio-win-'));
  try {
    const { form, files } = await openVirtioWin(path, scratch, signal);
    const catalogue = await readCatalogue(files, { signal });
    const { folders } = catalogue;
    const found = `${path} (${form}): ${folders.length} folders with drivers`;
    return [ok(NAME, found), ...offersOf(catalogue).map(offerFinding)];
  } catch (error) {
    if (!(error instanceof Hyper2kvmError)) throw error;
    const { message, advice, causes } = errorRecord(error);
    return [fail(NAME, [message, ...causes.slice(-1)].join(': '), advice)];
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
};

/** A Windows that would start from virtio and have a network is fine, with what is to be known about it. */
function offerFinding({ windows, set }: Offer): Finding {
  const { packages, warnings } = set;
  const objections = warnings.map(({ message }) => message);
  const drivers = packages.length === 0 ? [] : [driversText(packages)];
  const detail = [...drivers, ...objections].join('; ');
  if (warnings.length === 0) return ok(windows, detail);
  return warn(windows, detail, NEWER);
}

/** `viostor, netkvm from w10/amd64 …`: folders of one layout differ by driver, so each is named. */
function driversText(packages: readonly DriverPackage[]): string {
  return packages
    .map(({ name, folder, driverVersion }) => `${name} ${driverVersion?.version ?? ''} (${folder})`)
    .join(', ');
}
