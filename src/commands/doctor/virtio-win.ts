import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { errorRecord, Hyper2kvmError } from '../../errors/error.js';
import type { DriverCatalogue } from '../../families/windows/drivers/catalogue.js';
import { type Offer, offersOf } from '../../families/windows/drivers/offer.js';
import { openVirtioWin } from '../../families/windows/drivers/open.js';
import { readCatalogue } from '../../families/windows/drivers/read-catalogue.js';
import type { DriverPackage, DriverWarning } from '../../model/driver-set.js';
import { formatCount } from '../../text/format.js';
import { type Check, type Finding, fail, ok, warn } from './check.js';

const NAME = 'virtio-win';
/** Without them a guest gets other devices. */
const ESSENTIAL = ['viostor', 'netkvm'] as const;
const OTHER = 'Use a virtio-win that has them; without, such guests get a SATA disk or an e1000e card.';
const NEWER = 'Use a newer virtio-win, if such guests are to be converted.';

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
    return [packageFinding(path, form, catalogue), ...offersOf(catalogue).map(offerFinding)];
  } catch (error) {
    if (!(error instanceof Hyper2kvmError)) throw error;
    const { message, advice, causes } = errorRecord(error);
    return [fail(NAME, [message, ...causes.slice(-1)].join(': '), advice)];
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
};

function packageFinding(path: string, form: string, { folders, guestAgents }: DriverCatalogue): Finding {
  const found = `${path} (${form}): ${formatCount(folders.length, 'folder')} with drivers`;
  const agents = [...new Set(guestAgents.map(({ architecture }) => architecture))].join(', ');
  if (agents !== '') return ok(NAME, `${found}; guest agent for ${agents}`);
  return warn(NAME, `${found}; no guest agent`, 'Add guest-agent/qemu-ga-x86_64.msi, which is on the ISO.');
}

function offerFinding({ windows, folders, set }: Offer): Finding {
  const { packages, refusals, warnings } = set;
  const has = (name: string) => packages.some((found) => found.name === name);
  const missing = ESSENTIAL.filter(
    (name) => !has(name) && !refusals.some((refusal) => refusal.package === name),
  );
  const problems = [
    ...(missing.length === 0 ? [] : [`no ${missing.join(', ')} in a folder ${folders.join(', ')}`]),
    ...refusals.map(
      ({ package: name, folder, message }) => `${has(name) ? 'not' : 'no'} ${name} of ${folder}: ${message}`,
    ),
    ...warnings.filter(({ code }) => OF_TAKEN.includes(code)).map(({ message }) => message),
  ];
  const detail = [...(packages.length === 0 ? [] : [driversText(packages)]), ...problems].join('; ');
  if (problems.length === 0) return ok(windows, detail);
  return warn(windows, detail, ESSENTIAL.every(has) ? NEWER : OTHER);
}

/** Warnings of packages that are taken; the others repeat what is missing. */
const OF_TAKEN: readonly DriverWarning['code'][] = ['drivers.no-catalogue', 'drivers.cross-signed'];

/** `viostor 100.94.104.24800, netkvm … from w10`. */
function driversText(packages: readonly DriverPackage[]): string {
  return [...Map.groupBy(packages, ({ release }) => release)]
    .map(
      ([release, own]) =>
        `${own.map(({ name, driverVersion }) => nameText(name, driverVersion)).join(', ')} from ${release}`,
    )
    .join(', ');
}

/** The version of the disk driver stands for all: they are built together. */
const nameText = (name: DriverPackage['name'], version: DriverPackage['driverVersion']): string =>
  name === 'viostor' && version !== null ? `${name} ${version.version}` : name;
