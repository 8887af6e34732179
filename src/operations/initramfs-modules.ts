import { Hyper2kvmError } from '../errors/error.js';
import { type InitramfsListing, moduleName } from '../guest/initramfs-listing.js';
import type { GuestDraft } from './operation.js';

/**
 * Changes the draft's identity: adds `modules` to the initramfs at `path`, and passes its copies of the
 * guest's files through `texts`.
 */
export function putModules(
  draft: GuestDraft,
  path: string,
  modules: readonly string[],
  texts: (before: Record<string, string>) => Record<string, string>,
): void {
  const { identity } = draft;
  // Windows has no initramfs.
  if (identity.os_type === 'windows') return;
  const kernels = identity.kernels.map((kernel) => {
    const { initramfs } = kernel;
    if (initramfs?.path !== path) return kernel;
    return {
      ...kernel,
      initramfs: {
        ...initramfs,
        modules: [...new Set([...initramfs.modules, ...modules])].sort(),
        texts: texts(initramfs.texts ?? {}),
        unreadable: null,
      },
    };
  });
  draft.identity = { ...identity, kernels };
}

/** Throws `fix.initramfs-unproven` unless the listing is complete and every one of `modules` is in it and loaded. */
export function assertModules(path: string, listing: InitramfsListing, modules: readonly string[]): void {
  const { loader } = listing;
  // In others nothing would load a module that merely is there.
  const missing = missingModules(loader?.loads === 'listed' ? loader.listed : listing.files, modules);
  if (listing.unreadable !== null || missing.length > 0)
    throw unprovenInitramfs(path, listing.unreadable ?? `it does not list ${missing.join(', ')}`);
}

/** Returns those of `wanted` that are not among the listed files. */
export function missingModules(files: readonly string[], wanted: readonly string[]): string[] {
  const listed = new Set(files.map(moduleName));
  return wanted.filter((name) => !listed.has(moduleName(name)));
}

export function unprovenInitramfs(path: string, why: string): Hyper2kvmError {
  return new Hyper2kvmError('fix.initramfs-unproven', `could not verify the drivers in ${path}: ${why}`);
}
