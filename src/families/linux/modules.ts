import { posix } from 'node:path';
import { moduleName } from '../../guest/initramfs-listing.js';
import type { GuestTree } from '../../guest/tree.js';
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
  const modules = new Map<string, Module>();
  for (const line of lines('modules.dep')) {
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
