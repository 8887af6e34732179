import { execFile } from 'node:child_process';
import { copyFile, cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** A new part of the product: its file, and the lines that it puts into the list of such parts. */
export interface NewPart {
  /** Below src/. */
  file: string;
  text: string;
  registry: string;
  /** Name of the list, and what is imported into the registry for it. */
  list: string;
  name: string;
  from: string;
}

export interface Product {
  /** A module of it, by its path below src/ without suffix. */
  load<Module>(path: string): Promise<Module>;
  remove(): Promise<void>;
}

/**
 * The product with new parts, built by its compiler in a copy: rejects with tsc's messages where another file
 * would have to change too.
 */
export async function productWith(parts: readonly NewPart[]): Promise<Product> {
  const copy = await mkdtemp(join(tmpdir(), 'h2k-product-'));
  const remove = () => rm(copy, { recursive: true, force: true });
  try {
    await cp(join(ROOT, 'src'), join(copy, 'src'), { recursive: true });
    for (const file of ['package.json', 'tsconfig.json']) await copyFile(join(ROOT, file), join(copy, file));
    await symlink(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
    for (const part of parts) await put(copy, part);
    await compile(copy);
  } catch (error) {
    await remove();
    throw error;
  }
  return {
    load: (path) => import(/* @vite-ignore */ pathToFileURL(join(copy, 'dist', `${path}.js`)).href),
    remove,
  };
}

async function put(copy: string, { file, text, registry, list, name, from }: NewPart): Promise<void> {
  await writeFile(join(copy, 'src', file), text, { flag: 'wx' });
  const path = join(copy, 'src', registry);
  const before = await readFile(path, 'utf8');
  const head = new RegExp(`^export const ${list}\\b.*= \\[$`, 'm');
  if (!head.test(before)) throw new Error(`${registry} has no list ${list}`);
  const after = before.replace(head, (line) => `import { ${name} } from '${from}';\n${line}\n  ${name},`);
  await writeFile(path, after);
}

async function compile(copy: string): Promise<void> {
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
  try {
    await promisify(execFile)(process.execPath, [tsc, '-p', join(copy, 'tsconfig.json')]);
  } catch (error) {
    throw new Error(`tsc: ${(error as { stdout: string }).stdout}`, { cause: error });
  }
}
