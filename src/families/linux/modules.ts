import { posix } from 'node:path';
import { moduleName } from '../../guest/initramfs-listing.js';
import { decodeText, type GuestTree } from '../../guest/tree.js';
import type { Kernel } from '../../model/identity.js';

/** The modules of an installed kernel, by normalised name (`virtio_blk`). */
export interface ModuleIndex {
  isBuiltin(name: string): boolean;
  /** Returns the guest path of the module's file, or null if the kernel has no such module. */
  path(name: string): string | null;
  /**
   * Returns `names` with all their dependencies, sorted. Built-in modules and names that the kernel does not
   * have are omitted.
   */
  closure(names: readonly string[]): string[];
  /** Returns the guest paths of depmod's indexes, which a copy of some modules needs beside it. */
  indexes(): string[];
}

interface Module {
  path: string;
  needs: string[];
}

/**
 * Reads `modules.dep` and `modules.builtin` in the kernel's module directory (depmod's formats, see
 * modules.dep(5)).
 */
export function moduleIndex(tree: GuestTree, { modules: directory }: Pick<Kernel, 'modules'>): ModuleIndex {
  const read = (name: string) => (directory === null ? '' : (tree.text(`${directory}/${name}`)?.text ?? ''));
  const lines = (name: string) =>
    read(name)
      .split('\n')
      .filter((line) => line.trim() !== '');
  const root = directory ?? '';
  const content = directory === null ? undefined : tree.get(`${directory}/modules.dep`)?.content;
  const modules = content === undefined ? new Map<string, Module>() : modulesOf(content, root);
  const builtin = new Set(lines('modules.builtin').map(moduleName));
  const closure = (names: readonly string[]) => {
    const found = new Set<string>();
    const visit = (name: string) => {
      const module = modules.get(name);
      if (module === undefined || builtin.has(name) || found.has(name)) return;
      found.add(name);
      module.needs.forEach(visit);
    };
    names.forEach(visit);
    return [...found].sort();
  };
  return {
    isBuiltin: (name) => builtin.has(name),
    path: (name) => modules.get(name)?.path ?? null,
    closure,
    indexes: () => indexFiles(tree, root),
  };
}

/** By the content of modules.dep: each fixer asks for the index of each kernel, and it has some MB to go through. */
const known = new WeakMap<Buffer, { root: string; modules: ReadonlyMap<string, Module> }>();

function modulesOf(content: Buffer, root: string): ReadonlyMap<string, Module> {
  const before = known.get(content);
  if (before?.root === root) return before.modules;
  const modules = new Map<string, Module>();
  for (const line of decodeText(content).text.split('\n')) {
    if (line.trim() === '') continue;
    const [file = '', needs = ''] = line.split(':', 2);
    // Paths are relative to the directory; before module-init-tools 3.3 they were absolute.
    const path = file.startsWith('/') ? file : posix.join(root, file);
    modules.set(moduleName(file), {
      path,
      needs: needs
        .split(/\s+/)
        .filter((need) => need !== '')
        .map(moduleName),
    });
  }
  known.set(content, { root, modules });
  return modules;
}

/**
 * The indexes that modprobe reads, without the suffix `.bin` of their binary form. `modules.symbols` and
 * `modules.order` are for depmod and installers.
 */
const INDEXES = ['modules.alias', 'modules.builtin', 'modules.dep', 'modules.softdep'];

/**
 * Returns the index files of a directory. The snapshot omits the binary ones, because they are large, so
 * their presence is derived: depmod writes dep and alias since module-init-tools 3.5, which also introduced
 * `modules.order`, and builtin since kmod, which also introduced `modules.softdep`.
 */
function indexFiles(tree: GuestTree, directory: string): string[] {
  const has = (name: string) => tree.exists(`${directory}/${name}`);
  const isSince = {
    'modules.dep': 'modules.order',
    'modules.alias': 'modules.order',
    'modules.builtin': 'modules.softdep',
  };
  const text = INDEXES.filter(has);
  const binary = Object.entries(isSince).flatMap(([name, mark]) =>
    has(name) && has(mark) ? [`${name}.bin`] : [],
  );
  return [...text, ...binary].sort().map((name) => `${directory}/${name}`);
}
