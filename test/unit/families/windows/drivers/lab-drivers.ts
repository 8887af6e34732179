import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { chooseDrivers } from '../../../../../src/families/windows/drivers/choose.js';
import { openVirtioWin } from '../../../../../src/families/windows/drivers/open.js';
import { readCatalogue } from '../../../../../src/families/windows/drivers/read-catalogue.js';
import type { DriverTarget } from '../../../../../src/families/windows/drivers/releases.js';
import type { DriverSet } from '../../../../../src/model/driver-set.js';
import { type DriverName, driverPackage, makeSigners, writePackage } from './virtio-win.ts';

export const LAB_SIGNERS = makeSigners();

/** What a virtio-win with these drivers has for a Windows: a real choice among files on this host. */
export async function labDrivers(
  target: Pick<DriverTarget, 'build' | 'architecture'> & { product?: DriverTarget['product'] },
  os: string,
  names: readonly DriverName[] = ['viostor', 'vioscsi', 'NetKVM', 'Balloon'],
): Promise<DriverSet> {
  const root = mkdtempSync(join(tmpdir(), 'h2k-lab-drivers-'));
  onTestFinished(() => rmSync(root, { recursive: true }));
  const { architecture } = target;
  for (const name of names)
    writePackage(
      root,
      `${name}/${os}/${architecture}`,
      driverPackage(name, architecture, LAB_SIGNERS.publisher),
    );
  const signal = AbortSignal.timeout(20_000);
  const whole: DriverTarget = {
    product: 'workstation',
    ...target,
    testSigning: false,
    secureBoot: false,
    knowsSha256: true,
  };
  const { files } = await openVirtioWin(root, join(root, 'cache'), signal);
  return chooseDrivers(
    await readCatalogue(files, { signal, windows: whole, roots: LAB_SIGNERS.roots }),
    whole,
  );
}
