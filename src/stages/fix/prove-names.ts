import { type BootFile, mapCommandLines } from '../../families/linux/command-line-files.js';
import { REMOVABLE_TYPES } from '../../families/linux/fstab.js';
import { isUnstableName } from '../../guest/device-names.js';
import { mayBeAbsent, parseFstab } from '../../guest/fstab.js';
import type { Operation } from '../../model/operation.js';
import type { FixTarget } from './guest-writer.js';
import { unproven } from './prove-files.js';

/** What was read back from the guest, and its fstab as it was before the plan. */
export interface GuestTexts {
  fstab: { text: string; before: string } | null;
  boot: readonly (BootFile & { text: string })[];
}

/**
 * The rules that decide the boot, on the guest as it is now: fstab parses, nothing is named by what does not survive the move. What the plan leaves as it is
 * with a warning (a resume= on a disk that was not dropped, a line that was never one) is no failure here. `boot` are the files with kernel command lines that
 * the guest has after the plan, `fstab` is where /etc/fstab really is; `judge` is `proofsOfNames`, where it keeps nobody waiting.
 */
export async function proveNames(
  operations: readonly Operation[],
  { boot, fstab }: { boot: readonly BootFile[]; fstab: string },
  target: FixTarget,
  judge: (texts: GuestTexts) => string[] | Promise<string[]>,
): Promise<string[]> {
  const texts: GuestTexts = { fstab: null, boot: [] };
  if (await target.exists('/etc/fstab')) {
    const text = (await target.read('/etc/fstab')).toString('utf8');
    const change = operations.find((operation) => operation.op === 'write_file' && operation.path === fstab);
    texts.fstab = { text, before: change?.op === 'write_file' ? (change.before ?? '') : text };
  }
  const files = [];
  for (const file of boot) files.push({ ...file, text: (await target.read(file.path)).toString('latin1') });
  return judge({ ...texts, boot: files });
}

/** One line for each file that is right. Throws `fix.unproven`. Pure. */
export function proofsOfNames({ fstab, boot }: GuestTexts): string[] {
  return [
    ...(fstab === null ? [] : [proveFstab(fstab.text, fstab.before)]),
    ...boot.flatMap((file) => proveCommandLines(file, file.text)),
  ];
}

/** fstab(5): at least spec, file, type on what was written; no unstable name, except of removable media and on lines that may fail (`nofail`, `noauto`). */
function proveFstab(text: string, before: string): string {
  const old = new Set(before.split('\n'));
  const entries = parseFstab(text).filter((entry) => entry.type !== '' || !old.has(entry.text));
  for (const entry of entries) {
    const { spec, mountpoint, type } = entry;
    if (type === '') throw unproven('/etc/fstab', `it has the line ${entry.text}`);
    if (isUnstableName(spec) && !mayBeAbsent(entry) && !REMOVABLE_TYPES.test(type))
      throw unproven('/etc/fstab', `${mountpoint} is still mounted from ${spec}`);
  }
  return `/etc/fstab parses: ${entries.length} entries, no unstable device name`;
}

/** Nothing to say of a file without command lines, as of GRUB that reads its entries elsewhere. */
function proveCommandLines({ path, kind }: BootFile, text: string): string[] {
  let lines = 0;
  mapCommandLines(text, kind, (args) => {
    const unstable = [...args.matchAll(/(?<![^\s"'])root=([^\s"']+)/g)].find(([, device = '']) =>
      isUnstableName(device),
    );
    if (unstable !== undefined) throw unproven(path, `a kernel is still started with ${unstable[0]}`);
    lines += 1;
    return args;
  });
  if (lines === 0) return [];
  return [`${path}: ${lines} kernel command ${lines === 1 ? 'line' : 'lines'}, no unstable root`];
}
