import { parseFstab } from '../../guest/fstab.js';
import type { GuestTree } from '../../guest/tree.js';
import type { Operation } from '../../operations/registry.js';
import { mapLines } from '../../text/lines.js';
import { type Cause, filesIn, putLink, removeFile, rewriteFile } from '../base/edit.js';

/**
 * Residue that the guest tools of every hypervisor leave in the same places. Patterns are tested on a single
 * name or line.
 */

const UNIT_DIRECTORIES = ['/usr/lib/systemd/system', '/lib/systemd/system', '/etc/systemd/system'];

/** Masks the installed units with these names, and those that systemd generates from System V scripts. */
export function maskUnits(
  tree: GuestTree,
  { unit, script }: { unit: RegExp; script: RegExp },
  cause: Cause,
): Operation[] {
  const units = UNIT_DIRECTORIES.flatMap((directory) => tree.list(directory)).filter((name) =>
    unit.test(name),
  );
  // systemd generates a unit from each System V script; masking that name stops it.
  const scripts = tree.list('/etc/init.d').filter((name) => script.test(name));
  const names = new Set([...units, ...scripts.map((name) => `${name}.service`)]);
  return [...names].sort().flatMap((name) => disableUnit(tree, name, cause));
}

/**
 * Masks a unit by a link to /dev/null. A unit file in /etc itself (a tarball's) cannot be masked, so the
 * links that start it are removed.
 */
function disableUnit(tree: GuestTree, unit: string, cause: Cause): Operation[] {
  const path = `/etc/systemd/system/${unit}`;
  if (tree.lstat(path)?.type !== 'file') return putLink(tree, path, '/dev/null', cause);
  const starters = tree
    .list('/etc/systemd/system')
    .filter((name) => /\.(wants|requires)$/.test(name))
    .map((directory) => `/etc/systemd/system/${directory}/${unit}`);
  return starters.flatMap((link) => removeFile(tree, link, cause));
}

/** Removes the start links of scripts with this name, those of System V and those of OpenRC's runlevels. */
export function removeStartLinks(tree: GuestTree, script: RegExp, cause: Cause): Operation[] {
  const directories = ['/etc/rc.d', '/etc'].flatMap((base) =>
    ['2', '3', '4', '5', 'S'].map((level) => `${base}/rc${level}.d`),
  );
  const links = directories.flatMap((directory) =>
    filesIn(tree, directory, /^S\d+/).filter((path) => script.test(path.replace(/^.*\/S\d+/, ''))),
  );
  const services = tree
    .list('/etc/runlevels')
    .flatMap((level) => filesIn(tree, `/etc/runlevels/${level}`, script));
  const real = new Set([...links, ...services].map((link) => tree.lstat(link)?.path ?? link));
  return [...real].flatMap((link) => removeFile(tree, link, cause));
}

/** Comments out lines in the files that list modules to load at boot. */
export function commentModules(tree: GuestTree, line: RegExp, cause: Cause): Operation[] {
  const files = [
    '/etc/modules',
    '/etc/sysconfig/modules/vmware.modules',
    ...filesIn(tree, '/etc/modules-load.d', /\.conf$/),
  ];
  const real = new Set(files.flatMap((path) => tree.resolve(path) ?? []));
  return [...real].sort().flatMap((path) => commentLines(tree, path, line, cause));
}

export function commentDisplayDrivers(tree: GuestTree, driver: RegExp, cause: Cause): Operation[] {
  const files = ['/etc/X11/xorg.conf', ...filesIn(tree, '/etc/X11/xorg.conf.d', /\.conf$/)];
  const line = new RegExp(`^\\s*Driver\\s+"(${driver.source})"`, 'i');
  return files.flatMap((path) => commentLines(tree, path, line, cause));
}

/** Comments out lines of fstab for filesystems that only the old hypervisor provides: shared folders. */
export function commentMounts(tree: GuestTree, type: RegExp, cause: Cause): Operation[] {
  return rewriteFile(tree, '/etc/fstab', cause, (text) => {
    const found = new Set(parseFstab(text).flatMap((entry) => (type.test(entry.type) ? [entry.index] : [])));
    return mapLines(text, (line, index) => (found.has(index) ? `#${line}` : line));
  });
}

export function commentLines(tree: GuestTree, path: string, line: RegExp, cause: Cause): Operation[] {
  return rewriteFile(tree, path, cause, (text) =>
    mapLines(text, (content) => (line.test(content) ? `#${content}` : content)),
  );
}
