import type { DriverSet } from '../../../model/driver-set.js';
import type { DriverCatalogue } from './catalogue.js';
import { chooseDrivers } from './choose.js';

import { type ReleaseFolder, releaseFolders, type WindowsRelease } from './releases.js';

/** What a virtio-win package has for one Windows. */
export interface Offer {
  /** For people: `Server 2019 x64`. */
  windows: string;
  /** Where it looks, the best first. */
  folders: readonly ReleaseFolder[];
  set: DriverSet;
}

const client = (name: string, build: number): readonly [string, number, WindowsRelease['product']] => [
  `Windows ${name}`,
  build,
  'workstation',
];
const server = (name: string, build: number): readonly [string, number, WindowsRelease['product']] => [
  `Server ${name}`,
  build,
  'server',
];

const RELEASES = [
  client('7', 7601),
  client('8.1', 9600),
  client('10', 19_045),
  client('11', 22_631),
  server('2008 R2', 7601),
  server('2012', 9200),
  server('2012 R2', 9600),
  server('2016', 14_393),
  server('2019', 17_763),
  server('2022', 20_348),
  server('2025', 26_100),
];
/** Of these there is no 32-bit edition. */
const FIRST_64_BIT_CLIENT = 22_000;

/** Returns what each Windows would get, in the state that most guests are in: no test mode, updated. */
export function offersOf(catalogue: DriverCatalogue): Offer[] {
  return RELEASES.flatMap(([name, build, product]) => {
    const has32Bit = product === 'workstation' && build < FIRST_64_BIT_CLIENT;
    const architectures = has32Bit ? (['x86', 'amd64'] as const) : (['amd64'] as const);
    return architectures.map((architecture) => ({
      windows: `${name} ${architecture === 'x86' ? 'x86' : 'x64'}`,
      folders: releaseFolders({ architecture, build, product }),
      set: chooseDrivers(catalogue, {
        architecture,
        build,
        product,
        testSigning: false,
        secureBoot: false,
        knowsSha256: true,
      }),
    }));
  });
}
