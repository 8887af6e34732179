import { Hyper2kvmError } from '../../errors.js';
import { type BootFile, mapCommandLines } from '../../fixers/linux/boot-files.js';
import { isUnstableName } from '../../fixers/linux/device-names.js';
import { REMOVABLE_TYPES } from '../../fixers/linux/fstab.js';
import type { Operation } from '../../fixers/operation.js';
import type { FixTarget } from './target.js';

/** The last state that the operations give each text file; null where it is removed. */
function finalTexts(operations: readonly Operation[]): Map<string, Buffer | null> {
  const texts = new Map<string, Buffer | null>();
  for (const operation of operations) {
    if (operation.op === 'write_file')
      texts.set(operation.path, Buffer.from(operation.after, operation.encoding));
    if (operation.op === 'remove') texts.set(operation.path, null);
  }
  return texts;
}

/** Reads every changed or copied file back from the guest and compares. */
export async function proveFiles(operations: readonly Operation[], target: FixTarget): Promise<string[]> {
  const texts = finalTexts(operations);
  let compared = 0;
  for (const [path, expected] of texts) {
    const there = await target.exists(path);
    const right = expected === null ? !there : there && (await target.read(path)).equals(expected);
    if (!right) throw unproven(path, 'it reads back differently');
    compared += 1;
  }
  for (const operation of operations) {
    if (operation.op !== 'copy_file' || texts.has(operation.path)) continue;
    const [original, copy] = [await target.read(operation.from), await target.read(operation.path)];
    if (!copy.equals(original)) throw unproven(operation.path, `it is not the same as ${operation.from}`);
    compared += 1;
  }
  return compared === 0 ? [] : [`${compared} changed files read back as planned`];
}

/**
 * The rules that decide the boot, on the guest as it is now: fstab parses, nothing is named by what does not survive the move. What the plan leaves as it is
 * with a warning (a resume= on a disk that was not dropped, a line that was never one) is no failure here. `boot` are the files with kernel command lines that
 * the guest has after the plan; `fstab` is where /etc/fstab really is.
 */
export async function proveNames(
  operations: readonly Operation[],
  boot: readonly BootFile[],
  target: FixTarget,
  fstab = '/etc/fstab',
): Promise<string[]> {
  const proofs: string[] = [];
  if (await target.exists('/etc/fstab')) {
    const text = (await target.read('/etc/fstab')).toString('utf8');
    const change = operations.find((operation) => operation.op === 'write_file' && operation.path === fstab);
    proofs.push(proveFstab(text, change?.op === 'write_file' ? (change.before ?? '') : text));
  }
  for (const file of boot)
    proofs.push(...proveCommandLines(file, (await target.read(file.path)).toString('latin1')));
  return proofs;
}

/** fstab(5): at least spec, file, type on what was written; no unstable name, except of removable media and on lines that may fail (`nofail`, `noauto`). */
function proveFstab(text: string, before: string): string {
  const old = new Set(before.split('\n'));
  let lines = 0;
  for (const line of text.split('\n')) {
    if (/^\s*(#|$)/.test(line)) continue;
    const [spec, file, type, options = 'defaults'] = line.trim().split(/\s+/);
    if (spec === undefined || file === undefined || type === undefined) {
      if (old.has(line)) continue;
      throw unproven('/etc/fstab', `it has the line ${line}`);
    }
    const mayFail = options.split(',').some((option) => option === 'nofail' || option === 'noauto');
    if (isUnstableName(spec) && !mayFail && !REMOVABLE_TYPES.test(type))
      throw unproven('/etc/fstab', `${file} is still mounted from ${spec}`);
    lines += 1;
  }
  return `/etc/fstab parses: ${lines} entries, no unstable device name`;
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

function unproven(path: string, why: string): Hyper2kvmError {
  return new Hyper2kvmError('fix.unproven', `${path} is not as planned: ${why}`, {
    advice: 'Nothing was delivered. Send report.json and plan.json with a bug report.',
  });
}
