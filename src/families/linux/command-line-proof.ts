import {
  type BootFile,
  type BootFileKind,
  bootFiles,
  isByHand,
  mapCommandLines,
} from '../../guest/command-line-files.js';
import { isUnstableName } from '../../guest/device-names.js';
import { unproven } from '../../operations/prove-outcomes.js';
import type { FixedGuest, Proof } from '../base/fixer.js';

const ROOT = /(?<![^\s"'])root=([^\s"']+)/g;

/**
 * Proves that no kernel is started with a root that changes its name on KVM, in files of these kinds. What
 * the plan leaves with a warning (resume= on a disk that was not dropped) does not fail it.
 */
export function commandLineProof(kinds: readonly BootFileKind[]): Proof {
  const filesOf = ({ tree }: FixedGuest['after']) =>
    bootFiles(tree).filter((file) => kinds.includes(file.kind) && !isByHand(file));
  return {
    paths: (after) => filesOf(after).map(({ path }) => path),
    check: ({ after, read }) => filesOf(after).flatMap((file) => checkFile(file, read(file.path))),
  };
}

/**
 * Returns nothing for a file without command lines, such as the grub.cfg of a GRUB that reads its entries
 * from other files.
 */
function checkFile({ path, kind }: BootFile, content: Buffer | null): string[] {
  if (content === null) throw unproven(path, 'it does not exist');
  let lines = 0;
  mapCommandLines(content.toString('latin1'), kind, (args) => {
    const unstable = [...args.matchAll(ROOT)].find(([, device = '']) => isUnstableName(device));
    if (unstable !== undefined) throw unproven(path, `it still starts a kernel with ${unstable[0]}`);
    lines += 1;
    return args;
  });
  if (lines === 0) return [];
  return [`${path}: ${lines} kernel command ${lines === 1 ? 'line' : 'lines'}, no unstable root`];
}
