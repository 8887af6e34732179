import { posix } from 'node:path';
import { shortLines } from '../text/lines.js';

/** Which modules an initramfs loads, as its init does it. */
export interface ModuleLoader {
  /**
   * `any`: what a device of the machine asks for by its modalias; `listed`: those on a list that was made with the
   * initramfs, and no others; `unknown`: nothing tells.
   */
  loads: 'any' | 'listed' | 'unknown';
  /** Names or paths of the modules on the list; empty for the others. */
  listed: string[];
}

/** What is inside: paths without a leading slash, and the text of the files that `isLoaderFile` names. */
interface Contents {
  paths: readonly string[];
  text(path: string): string | null;
}

const MAX_LOADER_BYTES = 64 * 1024;
const LOADER_FILES = /^(init|linuxrc|modules|config)$/;

/** True for the files that tell which modules are loaded: scripts and lists of the initramfs' own tool. */
export const isLoaderFile = (path: string, bytes: number): boolean =>
  bytes <= MAX_LOADER_BYTES && LOADER_FILES.test(path);

const MODULE = /\.ko(?:\.(?:xz|gz|zst|bz2))?$/;

/**
 * What loads modules in an initramfs, by the programs and files that its tool puts there. Null where there is no
 * init to tell it by. Pure.
 *
 * - udev (dracut, initramfs-tools, mkinitcpio, SUSE's mkinitrd) and mkinitfs' nlplug-findfs go by modalias and the
 *   index beside the modules;
 * - nash, of Red Hat's mkinitrd up to RHEL 5, runs the `insmod` lines of its /init;
 * - mkinitcpio without a udev hook loads the MODULES of /config (its init), tiny-initramfs the files in /modules;
 * - booster (init/module.go) and genkernel have indexes of their own, which name what was put in with them.
 */
export function moduleLoader({ paths, text }: Contents): ModuleLoader | null {
  const has = (pattern: RegExp) => paths.some((path) => pattern.test(path));
  const script = text('init') ?? text('linuxrc') ?? '';
  const listed = (names: readonly string[]): ModuleLoader => ({ loads: 'listed', listed: [...names] });
  if (has(/^s?bin\/nash$/) || /^#!\s*\/s?bin\/nash\b/.test(script)) return listed(insmodLines(script));
  if (has(/(^|\/)(systemd-)?udevd$/) || has(/(^|\/)nlplug-findfs$/)) return ANY;
  if (has(/^etc\/booster\.init\.yaml$/) || has(/^etc\/initrd\.defaults$/))
    return listed(paths.filter((path) => MODULE.test(path)));
  if (has(/^init_functions$/) && has(/^config$/)) return listed(configuredModules(text('config') ?? ''));
  if (has(/^modules$/) && !has(/(^|\/)(sh|ash|busybox)$/)) return listed(firstWords(text('modules') ?? ''));
  if (/modalias/i.test(script)) return ANY;
  return has(/^(init|linuxrc)$/) ? { loads: 'unknown', listed: [] } : null;
}

const ANY: ModuleLoader = { loads: 'any', listed: [] };

function insmodLines(script: string): string[] {
  return shortLines(script).flatMap(
    (line) => /^\s*(?:insmod|modprobe)\s+(?:-\S+\s+)*([^\s-]\S*)/.exec(line)?.[1] ?? [],
  );
}

function configuredModules(config: string): string[] {
  const value = shortLines(config).map((line) => /^\s*MODULES=["']?([^"']*)/.exec(line)?.[1]);
  return value.flatMap((names) => names?.split(/\s+/) ?? []).filter((name) => name !== '');
}

const firstWords = (text: string): string[] =>
  shortLines(text)
    .flatMap((line) => /^\s*([^\s#]\S*)/.exec(line)?.[1] ?? [])
    .map((path) => posix.normalize(path));
