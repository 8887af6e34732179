import type { PackageName } from '../../../model/driver-set.js';

interface Wanted {
  name: PackageName;
  /** Names of its INF, the best one first. */
  infs: readonly string[];
  isBoot: boolean;
  /** Files that belong to it although no INF names them. */
  extras: readonly string[];
}

/**
 * What is looked for in virtio-win. Left out on purpose: vioprot and the SR-IOV packages, which break NetKVM,
 * and those for devices that the domain does not have.
 */
export const PACKAGES: readonly Wanted[] = [
  { name: 'viostor', infs: ['viostor.inf'], isBoot: true, extras: [] },
  { name: 'vioscsi', infs: ['vioscsi.inf'], isBoot: true, extras: [] },
  { name: 'netkvm', infs: ['netkvm.inf'], isBoot: false, extras: [] },
  { name: 'balloon', infs: ['balloon.inf'], isBoot: false, extras: ['blnsvr.exe'] },
  { name: 'vioserial', infs: ['vioser.inf'], isBoot: false, extras: [] },
  { name: 'viorng', infs: ['viorng.inf'], isBoot: false, extras: [] },
  { name: 'vioinput', infs: ['vioinput.inf'], isBoot: false, extras: [] },
  { name: 'fwcfg', infs: ['fwcfg.inf', 'qemufwcfg.inf'], isBoot: false, extras: [] },
  { name: 'pvpanic', infs: ['pvpanic.inf'], isBoot: false, extras: [] },
  { name: 'display', infs: ['viogpudo.inf', 'qxldod.inf', 'qxl.inf'], isBoot: false, extras: [] },
  { name: 'viofs', infs: ['viofs.inf'], isBoot: false, extras: [] },
];
