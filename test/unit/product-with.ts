import { execFile } from 'node:child_process';
import { copyFile, cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** A new part of the product: its file, and the lines that list it. */
export interface NewPart {
  /** Below src/. */
  file: string;
  text: string;
  lines: readonly NewLine[];
}

/** What is added to a file that is there already, right behind the first place where `after` stands. */
interface NewLine {
  in: string;
  after: string;
  add: string;
  /** What the file imports for it. */
  imports?: { name: string; from: string };
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

async function put(copy: string, { file, text, lines }: NewPart): Promise<void> {
  const path = join(copy, 'src', file);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, text, { flag: 'wx' });
  for (const line of lines) await addLine(join(copy, 'src', line.in), line);
}

async function addLine(path: string, { after, add, imports }: NewLine): Promise<void> {
  const before = await readFile(path, 'utf8');
  const end = before.indexOf(after) + after.length;
  if (end < after.length) throw new Error(`${path} has no ${after}`);
  const head = imports === undefined ? '' : `import { ${imports.name} } from '${imports.from}';\n`;
  await writeFile(path, head + before.slice(0, end) + add + before.slice(end));
}

async function compile(copy: string): Promise<void> {
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
  try {
    await promisify(execFile)(process.execPath, [tsc, '-p', join(copy, 'tsconfig.json'), '--singleThreaded']);
  } catch (error) {
    throw new Error(`tsc: ${(error as { stdout: string }).stdout}`, { cause: error });
  }
}
