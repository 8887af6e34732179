import { Hyper2kvmError } from '../../errors/error.js';
import type { Operation } from '../../model/operation.js';
import type { FixTarget } from './guest-writer.js';

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

export function unproven(path: string, why: string): Hyper2kvmError {
  return new Hyper2kvmError('fix.unproven', `${path} is not as planned: ${why}`, {
    advice: 'Nothing was delivered. Send report.json and plan.json with a bug report.',
  });
}
