import { posix } from 'node:path';
import type { Warning } from '../../model/plan.js';
import { removeFile, rewriteFile } from '../base/edit.js';
import type { Fixer } from '../base/fixer.js';

const NAME = 'lvm';

export const lvm: Fixer = {
  name: NAME,
  description:
    'LVM’s record of the old hypervisor’s devices (/etc/lvm/devices/system.devices, /etc/lvm/cache/.cache) is removed: LVM then finds its volumes by their own labels. A filter in lvm.conf or lvmlocal.conf that accepts only the old names gets virtio’s as well, with a warning.',
  plan({ tree }) {
    const stale = ['/etc/lvm/devices/system.devices', '/etc/lvm/cache/.cache', '/etc/lvm/.cache'];
    const reason = 'it lists devices of the old hypervisor; LVM would not look at the new ones';
    const warnings: Warning[] = [];
    const filters = ['/etc/lvm/lvm.conf', '/etc/lvm/lvmlocal.conf'].flatMap((path) =>
      rewriteFile(
        tree,
        path,
        { fixer: NAME, reason: 'the filter lets only device names of the old hypervisor through' },
        (text) => admitVirtio(text, path, warnings),
      ),
    );
    const removals = stale.flatMap((path) => removeFile(tree, path, { fixer: NAME, reason }));
    return { operations: [...removals, ...filters], warnings };
  },
};

/**
 * lvm.conf(5): `filter = [ "a|/dev/sd.*|", "r|.*|" ]` accepts by name and rejects the rest, which would
 * include virtio disks.
 */
const FILTER = /^[ \t]*(?:devices[ \t]*[{/][ \t]*)?(?:global_)?filter[ \t]*=[ \t]*\[/gm;
/** A token of a list, which may span several lines. */
const LIST_TOKEN = /\s+|,|#[^\n]*|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|\]/y;
const VIRTIO_PATTERN = '"a|^/dev/vd|"';

/**
 * Adds virtio's names to each filter of an LVM configuration that accepts only old ones. `path` is used in
 * warnings. Pure; also applied to copies in an initramfs.
 */
export function admitVirtio(text: string, path: string, warnings: Warning[]): string {
  const places: number[] = [];
  for (const match of text.matchAll(FILTER)) {
    const list = readList(text, match.index + match[0].length);
    if (list === null || !admitsOnlyOldNames(list.patterns)) continue;
    places.push(list.first);
    const filter = text.slice(match.index, list.end).replace(/\s+/g, ' ').trim();
    warnings.push({
      fixer: NAME,
      code: 'lvm.filter',
      message: `${posix.basename(path)} admits only devices of the old hypervisor (${filter}): virtio disks were added, look whether that is what you want`,
    });
  }
  return places.reduceRight(
    (result, place) => `${result.slice(0, place)}${VIRTIO_PATTERN}, ${result.slice(place)}`,
    text,
  );
}

/**
 * Returns the patterns of a list without their quotes, and the offsets of the first one and of the list's
 * end; null if it is not a list of strings.
 */
function readList(text: string, start: number): { patterns: string[]; first: number; end: number } | null {
  const patterns: string[] = [];
  let first = start;
  LIST_TOKEN.lastIndex = start;
  for (;;) {
    const at = LIST_TOKEN.lastIndex;
    const token = LIST_TOKEN.exec(text)?.[0];
    if (token === undefined) return null;
    if (token === ']') return { patterns, first, end: at + 1 };
    if (!/^["']/.test(token)) continue;
    if (patterns.length === 0) first = at;
    patterns.push(token.slice(1, -1));
  }
}

function admitsOnlyOldNames(patterns: readonly string[]): boolean {
  const accepted = patterns.filter((pattern) => pattern.startsWith('a'));
  const rejects = patterns.some((pattern) => /^r./.test(pattern));
  const names = (expression: RegExp) => accepted.some((pattern) => expression.test(pattern.slice(2)));
  return rejects && names(/sd|hd|xvd|nvme|by-path|by-id/) && !names(/\bvd/);
}
