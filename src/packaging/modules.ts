import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { z } from 'zod';
import { run } from '../tools/run.js';

/** A package in node_modules that is shipped. */
export interface ProductionModule {
  /** Relative to the repository: `node_modules/pino`. */
  path: string;
  name: string;
  version: string;
  /** SPDX expression: `MIT`. */
  license: string;
  author: string | null;
}

const authorSchema = z.union([z.string(), z.object({ name: z.string() }).transform(({ name }) => name)]);
const manifestSchema = z
  .object({
    name: z.string(),
    version: z.string(),
    license: z.string().optional(),
    // npm's form before SPDX expressions.
    licenses: z.tuple([z.object({ type: z.string() })]).optional(),
    author: authorSchema.optional(),
  })
  .transform(({ name, version, license, licenses, author }, context) => {
    const found = license ?? licenses?.[0].type;
    if (found === undefined) context.addIssue(`${name} names no licence`);
    return { name, version, license: found ?? '', author: author ?? null };
  });

/** Packages that are installed as dependencies of dependencies, but never loaded by Node. */
const NOT_LOADED = [
  // For the Bare runtime: tar-stream and streamx refer to them by an export condition that Node does not set.
  /^bare-/,
  // Only bare-stream needs it.
  /^teex$/,
  // For browsers: @azure/identity imports it under a condition of theirs only.
  /^@azure\/msal-browser$/,
  // C++ headers, for building better-sqlite3.
  /^node-addon-api$/,
];

/**
 * Returns the packages that are needed at run time, from `npm ls`, sorted by path. Packages that only other
 * runtimes need are left out. Errors: `tool.failed` if something is missing or does not match.
 */
export async function productionModules(repository: string): Promise<ProductionModule[]> {
  const { stdout } = await run('npm', ['ls', '--omit=dev', '--all', '--parseable'], { cwd: repository });
  // The first line is the repository itself.
  const directories = stdout.toString('utf8').trim().split('\n').slice(1);
  const modules = await Promise.all(
    directories.map(async (directory) => {
      const text = await readFile(join(directory, 'package.json'), 'utf8');
      return { path: relative(repository, directory), ...manifestSchema.parse(JSON.parse(text)) };
    }),
  );
  return modules
    .filter(({ name }) => !NOT_LOADED.some((pattern) => pattern.test(name)))
    .sort((a, b) => (a.path < b.path ? -1 : 1));
}

const SHEBANG = Buffer.from('#!');
/**
 * What Node loads: programs, native modules, and JSON for them. Everything else is documentation or source.
 */
const LOADED = /\.([cm]?js|json|node)$/;
/** A native module for this machine; those for musl are for other distributions. */
const NATIVE_HERE = /(^|[/_-])linux[_-]x64(\/|\.node$)/;
/**
 * Folders at the top of a package that no module is loaded from: tests, samples, development, other runtimes.
 * Deeper folders with these names may contain code (yaml/dist/doc).
 */
const UNUSED_FOLDER =
  /^(tests?|__tests__|bench(marks?)?|examples?|fixtures?|docs?|help|scripts|tools|vendor|deps|browser)$/;
/** Files for development beside the modules, including hidden ones. */
const UNUSED_FILE =
  /^(\..+|(test|bench|benchmark|example)(-.+)?\.[cm]?js|.+\.(test|spec|config|min)\.[cm]?js|tsconfig\..*json)$/;

/** Returns whether Node may load a file of a package; `path` is relative to the package. Pure. */
export function isLoaded(path: string): boolean {
  const folders = dirname(path).split('/');
  if (UNUSED_FOLDER.test(folders[0] ?? '') || folders.some((name) => /^\../.test(name))) return false;
  if (!LOADED.test(path) || UNUSED_FILE.test(basename(path))) return false;
  return !path.endsWith('.node') || NATIVE_HERE.test(path);
}

/** Copies a package below `target`, only with what Node loads. */
export async function copyModule(repository: string, path: string, target: string): Promise<void> {
  const source = join(repository, path);
  for (const file of await packageFiles(source)) {
    const content = await readFile(join(source, file));
    // A command of the package, which is not used here.
    if (content.subarray(0, 2).equals(SHEBANG)) continue;
    await mkdir(dirname(join(target, path, file)), { recursive: true });
    await writeFile(join(target, path, file), content);
  }
}

/** Returns a package's files without those of nested packages, which are listed themselves. */
async function packageFiles(source: string): Promise<string[]> {
  const entries = await readdir(source, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(source, join(entry.parentPath, entry.name)))
    .filter((file) => !file.split('/').includes('node_modules') && isLoaded(file))
    .sort();
}
