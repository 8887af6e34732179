import { posix } from 'node:path';
import { Hyper2kvmError } from '../../errors/error.js';
import { type BootEntry, mapNamesOnLine, writtenEntries } from '../../guest/boot-images.js';
import type { Kernel } from '../../model/identity.js';
import type { Warning } from '../../model/plan.js';
import type { Operation } from '../../operations/registry.js';
import { mapLines } from '../../text/lines.js';
import { rewriteFile } from '../base/edit.js';
import type { Fixer, Guest } from '../base/fixer.js';

const NAME = 'kernel';

export const kernel: Fixer = {
  name: NAME,
  whileRunning: false,
  description:
    'With fix.kernel, the entries of the boot loader that start the default kernel start another installed one, with its own initramfs: in grub.cfg, Boot Loader Specification entries, menu.lst, extlinux.conf and elilo.conf. Their titles and options stay.',
  plan(guest) {
    const wanted = guest.options.kernel;
    if (wanted === '') return { operations: [], warnings: [] };
    const other = findKernel(guest.identity.kernels, wanted);
    const [first, ...rest] = writtenEntries(guest.tree);
    if (first === undefined || isStartedBy(first, other)) return { operations: [], warnings: [] };
    const same = [first, ...rest].filter(
      ({ image, initramfs }) => image === first.image && initramfs === first.initramfs,
    );
    const operations = startOther(guest, same, other);
    const message = `the default entry of the boot loader starts ${other.image} in place of ${first.image || 'a kernel that is not there'}, because fix.kernel names it`;
    const warnings: Warning[] =
      operations.length === 0 ? [] : [{ fixer: NAME, code: 'boot.other-kernel', message }];
    return { operations, warnings };
  },
};

type Started = Kernel & { initramfs: NonNullable<Kernel['initramfs']> };

/** True for a kernel whose initramfs could be read whole. */
export const isComplete = (one: Kernel): one is Started =>
  one.initramfs !== null && one.initramfs.unreadable === null && one.modules !== null;

function findKernel(kernels: readonly Kernel[], wanted: string): Started {
  const named = kernels.filter(({ version, initramfs }) => version === wanted || initramfs?.path === wanted);
  const found = named.find(isComplete);
  if (found !== undefined) return found;
  const names = kernels.filter(isComplete).map(({ version }) => version);
  throw new Hyper2kvmError(
    'plan.kernel-unknown',
    `fix.kernel = "${wanted}": no such kernel with an initramfs is installed`,
    {
      facts: `There are: ${[...new Set(names)].join(', ') || 'none'}.`,
    },
  );
}

const isStartedBy = ({ image, initramfs }: BootEntry, other: Started): boolean =>
  image === other.image && initramfs === other.initramfs.path;

function startOther({ tree }: Guest, entries: readonly BootEntry[], other: Started): Operation[] {
  const paths = [...new Set(entries.map(({ file }) => file.path))];
  return paths.flatMap((path) => {
    const own = entries.filter(({ file }) => file.path === path);
    const cause = { fixer: NAME, reason: 'the default kernel does not start' };
    return rewriteFile(tree, path, cause, (text) =>
      mapLines(text, (line, index) => {
        const entry = own.find(
          ({ imageLine, initramfsLines }) => imageLine === index || initramfsLines.includes(index),
        );
        return entry === undefined ? line : changeLine(line, entry, other);
      }),
    );
  });
}

function changeLine(line: string, entry: BootEntry, other: Started): string {
  return mapNamesOnLine(line, entry.file, (name, part) =>
    part === 'image'
      ? otherName(name, entry.image || null, other.image)
      : otherName(name, entry.initramfs ?? null, other.initramfs.path),
  );
}

/**
 * Returns the name of the file `to` where a boot loader names `from` by `name`: from the root of the file system that it
 * reads, which may be mounted anywhere. A name that leads nowhere keeps its directory, unless that is all it differs in:
 * kernels of systemd-boot are called `linux`, each in a directory of its own.
 */
function otherName(name: string, from: string | null, to: string): string {
  const path = name.replace(/^\([^)]*\)/, '').replace(/^["']|["']$/g, '');
  const put = (other: string) => name.replace(path, () => other);
  if (from?.endsWith(path)) {
    const root = from.slice(0, from.length - path.length);
    if (to.startsWith(`${root}/`)) return put(to.slice(root.length));
  }
  if (from !== null && path.endsWith(from)) return put(path.slice(0, path.length - from.length) + to);
  if (posix.basename(path) === posix.basename(to))
    return put(`/${to.split('/').slice(-path.split('/').filter(Boolean).length).join('/')}`);
  return put(posix.join(posix.dirname(path), posix.basename(to)));
}
