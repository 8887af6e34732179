import { z } from 'zod';
import { appendInitramfs } from './append-initramfs.js';
import { copyFile } from './copy-file.js';
import { installPackages } from './install-packages.js';
import type { OperationKind } from './operation.js';
import { rebuildInitramfs } from './rebuild-initramfs.js';
import { remove } from './remove.js';
import { run } from './run.js';
import { symlink } from './symlink.js';
import { writeFile } from './write-file.js';

/** Every kind of operation. All else that the product knows of them is derived from this list. */
export const KINDS = [
  writeFile,
  remove,
  symlink,
  copyFile,
  appendInitramfs,
  rebuildInitramfs,
  installPackages,
  run,
] as const;

/** What FIX may do to a guest. */
export type Operation = z.infer<(typeof KINDS)[number]['schema']>;

const [first, ...others] = KINDS;

export const operationSchema: z.ZodType<Operation> = z.discriminatedUnion('op', [
  first.schema,
  ...others.map(({ schema }) => schema),
]);

const BY_NAME = new Map<Operation['op'], OperationKind<Operation>>(KINDS.map((kind) => [kind.op, kind]));

/** What the product knows about the operation's kind. */
export function kindOf({ op }: Operation): OperationKind<Operation> {
  const kind = BY_NAME.get(op);
  if (kind === undefined) throw new Error(`no such operation: ${op}`);
  return kind;
}
