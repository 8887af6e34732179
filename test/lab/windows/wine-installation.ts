import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '#hyper2kvm/tools/run.js';
import { cached, testCache } from '../cache.ts';
import { mirror } from '../packages.ts';

export type Machine = 'x86_64' | 'i686';

/** A wine, with programs of one machine. */
export interface WineInstallation {
  machine: Machine;
  /** Of the entry in the cache that is made with it. */
  name: string;
  /** Command lines of its programs, to which arguments are appended. */
  wine: readonly string[];
  server: readonly string[];
  env: Record<string, string>;
}

/** Returns Debian's wine64 of this host, or its wine32 in a root directory of its own. */
export async function wineInstallation(machine: Machine): Promise<WineInstallation> {
  return machine === 'x86_64' ? wine64() : wine32();
}

const DIRECTORY = '/usr/lib/wine';

async function wine64(): Promise<WineInstallation> {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: a field of dpkg-query's.
  const { stdout } = await run('dpkg-query', ['-W', '-f', '${Version}', 'libwine']);
  return {
    machine: 'x86_64',
    name: `wine-${stdout.toString('utf8').replaceAll(/[^\w.]/g, '-')}`,
    wine: [`${DIRECTORY}/wine64`],
    server: [`${DIRECTORY}/wineserver64`],
    env: {},
  };
}

/**
 * Its packages are 730 MB and take more than a minute, so that only `npm run test:wine32` asks for it. They are
 * unpacked, not installed: this host needs no second architecture.
 */
async function wine32(): Promise<WineInstallation> {
  const root = await cached('wine32-bookworm', async (scratch) => {
    const made = join(scratch, 'root');
    await run(
      'mmdebstrap',
      [
        ...['--quiet', '--variant=extract', '--architectures=i386', '--include=wine32'],
        ...['--aptopt=APT::Install-Recommends "false"', 'bookworm', made, await mirror()],
      ],
      { timeoutSeconds: 1_800 },
    );
    await addZlib(made);
    for (const path of ['sys', 'proc', testCache()]) await mkdir(join(made, path), { recursive: true });
    return made;
  });
  const inside = [
    ...['bwrap', '--ro-bind', root, '/', '--dev-bind', '/dev', '/dev', '--proc', '/proc'],
    ...['--ro-bind', '/sys', '/sys', '--bind', testCache(), testCache()],
  ];
  return {
    machine: 'i686',
    name: 'wine32-prefix',
    wine: [...inside, `${DIRECTORY}/wine`],
    server: [...inside, `${DIRECTORY}/wineserver32`],
    env: { WINESERVER: `${DIRECTORY}/wineserver32` },
  };
}

const BUILTIN = 'Wine builtin DLL';
const BUILTIN_AT = 0x40;
const BUILTIN_BYTES = 32;

/** What the package's maintainer script would do: wine takes a library for its own by a mark behind the DOS header. */
async function addZlib(root: string): Promise<void> {
  const library = await readFile(join(root, 'usr/i686-w64-mingw32/lib/zlib1.dll'));
  library.fill(0, BUILTIN_AT, BUILTIN_AT + BUILTIN_BYTES);
  library.write(BUILTIN, BUILTIN_AT, 'latin1');
  await writeFile(join(root, 'usr/lib/i386-linux-gnu/wine/i386-windows/zlib1.dll'), library);
}
