import { Hyper2kvmError } from '../../../../errors/error.js';
import { printable } from '../../../../text/escape-terminal.js';

/** Something of Azure's compute service. */
export interface ResourceId {
  kind: 'virtualMachines' | 'disks' | 'snapshots';
  /** `/subscriptions/…/resourceGroups/…` */
  group: string;
  name: string;
  /** As it was written. */
  id: string;
}

const KINDS = ['virtualMachines', 'disks', 'snapshots'] as const;
/** Not `.` and `..`, which lead elsewhere. */
const PART = '((?!\\.+(?:/|$))[A-Za-z0-9._()-]{1,90})';
const FORM = new RegExp(
  `^(/subscriptions/([0-9a-f-]{36})/resourceGroups/${PART})/providers/Microsoft\\.Compute/(virtualMachines|disks|snapshots)/${PART}$`,
  'i',
);

/**
 * Parses the id of a VM, a disk or a snapshot, which must be of that subscription. Throws `remote.not-found`,
 * `remote.not-allowed`.
 */
export function parseResourceId(text: string, subscription: string): ResourceId {
  const match = FORM.exec(text.replace(/\/$/, ''));
  if (match === null)
    throw new Hyper2kvmError(
      'remote.not-found',
      `${printable(text, 300)} is not the id of a VM, disk or snapshot`,
      {
        advice:
          'Use what `az vm show -g GROUP -n NAME --query id -o tsv` prints: /subscriptions/…/resourceGroups/…/providers/Microsoft.Compute/virtualMachines/NAME.',
      },
    );
  const [id, group = '', owner = '', , kind = '', name = ''] = match;
  if (owner.toLowerCase() !== subscription.toLowerCase())
    throw new Hyper2kvmError(
      'remote.not-allowed',
      '[source] vm is of another subscription than the connection',
    );
  const known = KINDS.find((one) => one.toLowerCase() === kind.toLowerCase())!;
  return { kind: known, group, name, id };
}
