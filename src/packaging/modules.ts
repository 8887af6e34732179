import { existsSync } from 'node:fs';
import { cp, readFile } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { z } from 'zod';

const manifestSchema = z.object({
  dependencies: z.record(z.string(), z.string()).default({}),
  optionalDependencies: z.record(z.string(), z.string()).default({}),
});

/** What is not read at run time: types, their sources, maps, prose. Licences stay. */
const UNUSED_FILE = /\.([cm]?ts|map|md|markdown|o|a|gyp|c|cc|cpp|h|hh|asm)$/i;
const LICENCE = /^(licen[cs]e|copying|notice|authors)/i;
/** Sources of the two native modules, of which only the modules themselves are loaded. */
const UNUSED_PATHS = ['better-sqlite3/deps', 'better-sqlite3/src', 'koffi/doc', 'koffi/vendor'].map((path) =>
  join('node_modules', path),
);
/** better-sqlite3 brings one binary for each system. */
const FOREIGN_BINARY = /better-sqlite3\/prebuilds\/(?!linux-x64\.node$)/;

/**
 * The packages that run time needs, as paths below the repository (`node_modules/pino`), sorted: the closure of package.json's `dependencies` in what is
 * installed. An optional package counts where it is installed (koffi's binary for this machine). Throws an Error for a missing one.
 */
export async function productionModules(repository: string): Promise<string[]> {
  const found = new Set<string>();
  const visit = async (directory: string): Promise<void> => {
    const manifest = manifestSchema.parse(
      JSON.parse(await readFile(join(directory, 'package.json'), 'utf8')),
    );
    for (const name of Object.keys({ ...manifest.dependencies, ...manifest.optionalDependencies })) {
      const path = resolveModule(name, directory, repository);
      if (path === null) {
        if (name in manifest.optionalDependencies) continue;
        throw new Error(`${name}, which ${relative(repository, directory)} needs, is not installed`);
      }
      if (found.has(path)) continue;
      found.add(path);
      await visit(join(repository, path));
    }
  };
  await visit(repository);
  return [...found].sort();
}

/** As Node resolves it: the nearest node_modules upwards. */
function resolveModule(name: string, from: string, repository: string): string | null {
  for (let here = from; ; here = dirname(here)) {
    const candidate = join(here, 'node_modules', name);
    if (existsSync(join(candidate, 'package.json'))) return relative(repository, candidate);
    if (here === repository) return null;
  }
}

/** Copies one of `productionModules` below `target`, without what is not read at run time. */
export async function copyModule(repository: string, path: string, target: string): Promise<void> {
  await cp(join(repository, path), join(target, path), {
    recursive: true,
    filter(source) {
      const inside = relative(join(repository, path), source);
      const name = basename(source);
      // Packages below this one are packages of their own.
      if (inside.split('/').includes('node_modules')) return false;
      if (UNUSED_PATHS.includes(relative(repository, source)) || FOREIGN_BINARY.test(source)) return false;
      return LICENCE.test(name) || !UNUSED_FILE.test(name);
    },
  });
}
