import { isUnstableName } from '../../guest/device-names.js';
import { unproven } from '../../operations/prove-outcomes.js';
import type { FixedGuest, Proof } from '../base/fixer.js';
import {
  type BootFile,
  type BootFileKind,
  bootFiles,
  isByHand,
  mapCommandLines,
} from './boot-loader/command-line-files.js';

const ROOT = /(?<![^\s"'])root=([^\s"']+)/g;

/**
 * No kernel is started with a root that does not survive the move, in the files of these kinds. What the plan
 * leaves with a warning (resume= on a disk that was not dropped) is no failure here.
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
 * Nothing is said of a file without command lines, such as the grub.cfg of a GRUB that reads its entries
 * elsewhere.
 */
function checkFile({ path, kind }: BootFile, content: Buffer | null): string[] {
  if (content === null) throw unproven(path, 'it is not there');
  let lines = 0;
  mapCommandLines(content.toString('latin1'), kind, (args) => {
    const unstable = [...args.matchAll(ROOT)].find(([, device = '']) => isUnstableName(device));
    if (unstable !== undefined) throw unproven(path, `a kernel is still started with ${unstable[0]}`);
    lines += 1;
    return args;
  });
  if (lines === 0) return [];
  return [`${path}: ${lines} kernel command ${lines === 1 ? 'line' : 'lines'}, no unstable root`];
}
