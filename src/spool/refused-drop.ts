import { refusedName } from '../disk/base/names.js';
import { type ErrorRecord, errorRecord, Hyper2kvmError } from '../errors/error.js';
import type { Drop, IncomingEntry } from '../model/drop.js';
import { vmName } from '../model/vm-name.js';
import { printable } from '../text/escape-terminal.js';
import { stemOf } from './names.js';

/** An entry of incoming that cannot be read. */
export function unreadableDrop(name: string, problem: ErrorRecord): Drop {
  return {
    name,
    vm: vmName(stemOf(name)),
    entries: [name],
    options: null,
    waiting: null,
    refused: null,
    problem,
  };
}

/** An entry with a name, or a kind of file at `path`, that no drop may have. */
export function refusedDrop(
  name: string,
  entries: string[],
  path: string,
  type: IncomingEntry['type'],
): Drop {
  const error = type === 'unnamed' ? refusedName(path) : refusedKind(path, type);
  return {
    name,
    vm: vmName(stemOf(name)),
    entries,
    options: null,
    waiting: null,
    refused: errorRecord(error),
  };
}

function refusedKind(path: string, type: IncomingEntry['type']): Hyper2kvmError {
  const what = type === 'symlink' ? 'a symbolic link' : 'a FIFO, a socket or a device';
  return new Hyper2kvmError('fetch.refused-special', `${printable(path)} is ${what}`);
}
