import { z } from 'zod';
import { appendInitramfs } from './append-initramfs.js';
import { copyDriver } from './copy-driver.js';
import { copyFile } from './copy-file.js';
import { firstBoot } from './first-boot.js';
import { installPackages } from './install-packages.js';
import type { OperationKind } from './operation.js';
import { rebuildInitramfs } from './rebuild-initramfs.js';
import { registryValues } from './registry-values.js';
import { remove } from './remove.js';
import { run } from './run.js';
import { symlink } from './symlink.js';
import { writeFile } from './write-file.js';

/** Every kind of operation. Everything else that the product knows about them is derived from this list. */
export const KINDS = [
  writeFile,
  remove,
  symlink,
  copyFile,
  appendInitramfs,
  rebuildInitramfs,
  installPackages,
  registryValues,
  copyDriver,
  firstBoot,
  run,
] as const;

/** Anything that FIX may do to a guest. */
export type Operation = z.infer<(typeof KINDS)[number]['schema']>;

const [first, ...others] = KINDS;

export const operationSchema: z.ZodType<Operation> = z.discriminatedUnion('op', [
  first.schema,
  ...others.map(({ schema }) => schema),
]);

const BY_NAME = new Map<Operation['op'], OperationKind<Operation>>(KINDS.map((kind) => [kind.op, kind]));

/** Returns the kind of an operation. */
export function kindOf({ op }: Operation): OperationKind<Operation> {
  const kind = BY_NAME.get(op);
  if (kind === undefined) throw new Error(`no such operation: ${op}`);
  return kind;
}
