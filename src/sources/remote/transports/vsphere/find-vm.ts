import { Hyper2kvmError } from '../../../../errors/error.js';
import { printable } from '../../../../text/escape-terminal.js';
import { markup } from '../../../../text/markup.js';
import { VsphereFault } from './faults.js';
import { type ObjectContent, referenceOf, retrieve, retrieveVms } from './properties.js';
import type { Session } from './session.js';
import type { MoRef } from './soap-client.js';

const UUID = /^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/i;
/** `vm-1234` of a vCenter, `12` of an ESXi host. */
const MOREF = /^(vm-)?\d{1,10}$/;
const MAX_DEPTH = 64;
const MAX_SHOWN = 10;

/**
 * Finds the one VM that is meant by an inventory path, an instance UUID, an id or a name. Errors:
 * `remote.not-found`, `remote.ambiguous`.
 */
export async function findVm(session: Session, wanted: string, signal: AbortSignal): Promise<MoRef> {
  if (wanted.startsWith('/')) return findByPath(session, wanted, signal);
  const found = UUID.test(wanted)
    ? await findByUuid(session, wanted, signal)
    : [...(await findById(session, wanted, signal)), ...(await findByName(session, wanted, signal))];
  const [only, ...others] = new Map(found.map((one) => [one.id, one])).values();
  if (only === undefined)
    throw new Hyper2kvmError(
      'remote.not-found',
      `there is no VM “${printable(wanted)}”, or the user cannot see it`,
    );
  if (others.length === 0) return only;
  throw new Hyper2kvmError('remote.ambiguous', `“${printable(wanted)}” is ${others.length + 1} VMs`, {
    facts: await candidates(session, [only, ...others], signal),
  });
}

async function findByPath(session: Session, path: string, signal: AbortSignal): Promise<MoRef> {
  const parts = path.split('/').filter((part) => part !== '');
  const [returned] = await session.call(
    'FindByInventoryPath',
    session.service('searchIndex'),
    markup`<inventoryPath>${parts.join('/')}</inventoryPath>`,
    signal,
  );
  const found = referenceOf(returned);
  if (found?.type === 'VirtualMachine') return found;
  if (found !== null)
    throw new Hyper2kvmError(
      'remote.not-found',
      `${printable(path)} is a ${printable(found.type, 40)}, not a VM`,
    );
  const alike = await findByName(session, parts.at(-1) ?? '', signal);
  throw new Hyper2kvmError(
    'remote.not-found',
    `there is no VM at ${printable(path)}, or the user cannot see it`,
    alike.length === 0 ? {} : { facts: await candidates(session, alike, signal) },
  );
}

async function findByUuid(session: Session, uuid: string, signal: AbortSignal): Promise<MoRef[]> {
  const found = await session.call(
    'FindAllByUuid',
    session.service('searchIndex'),
    markup`<uuid>${uuid.toLowerCase()}</uuid><vmSearch>true</vmSearch><instanceUuid>true</instanceUuid>`,
    signal,
  );
  return found.map(referenceOf).filter((one) => one?.type === 'VirtualMachine') as MoRef[];
}

async function findById(session: Session, id: string, signal: AbortSignal): Promise<MoRef[]> {
  if (!MOREF.test(id)) return [];
  const vm = { type: 'VirtualMachine', id };
  try {
    return (await retrieve(session, [vm], ['name'], signal)).map(({ self }) => self);
  } catch (error) {
    if (error instanceof VsphereFault && error.fault === 'ManagedObjectNotFound') return [];
    throw error;
  }
}

async function findByName(session: Session, name: string, signal: AbortSignal): Promise<MoRef[]> {
  const found: MoRef[] = [];
  for await (const { self, properties } of retrieveVms(session, ['name'], signal))
    if (plainName(properties.get('name')?.text ?? '') === plainName(name)) found.push(self);
  return found;
}

/** The inventory writes `/`, `\` and `%` in names as `%2f`, `%5c` and `%25`; people may write both. */
function plainName(name: string): string {
  return name.replace(/%(2f|5c|25)/gi, (_all, code: string) =>
    String.fromCharCode(Number.parseInt(code, 16)),
  );
}

async function candidates(session: Session, vms: readonly MoRef[], signal: AbortSignal): Promise<string> {
  const shown: string[] = [];
  for (const vm of vms.slice(0, MAX_SHOWN)) {
    const path = await inventoryPath(session, vm, signal);
    shown.push(`/${printable(path.map(({ name }) => name).join('/'))} (${printable(vm.id, 40)})`);
  }
  return `There are: ${shown.join(', ')}${vms.length > MAX_SHOWN ? ', …' : ''}.`;
}

interface Place {
  self: MoRef;
  /** As the inventory writes it. */
  name: string;
}

/** Returns the objects from the topmost folder's child down to the object itself. */
async function inventoryPath(session: Session, object: MoRef, signal: AbortSignal): Promise<Place[]> {
  const path: Place[] = [];
  let next: MoRef | null = object;
  while (next !== null && path.length < MAX_DEPTH) {
    const isVm: boolean = next.type === 'VirtualMachine';
    const properties: readonly string[] = isVm ? ['name', 'parent', 'parentVApp'] : ['name', 'parent'];
    const [found]: ObjectContent[] = await retrieve(session, [next], properties, signal);
    if (found === undefined) break;
    path.unshift({ self: next, name: found.properties.get('name')?.text ?? next.id });
    next = referenceOf(found.properties.get('parent')) ?? referenceOf(found.properties.get('parentVApp'));
  }
  // The root folder is not part of any path.
  return path.slice(1);
}

/** Returns what `dcPath` of a file's address is: the datacenter with the folders that it is in. */
export async function datacenterPath(session: Session, vm: MoRef, signal: AbortSignal): Promise<string> {
  const path = await inventoryPath(session, vm, signal);
  const index = path.findIndex(({ self }) => self.type === 'Datacenter');
  if (index < 0)
    throw new Hyper2kvmError(
      'remote.permission',
      `the user cannot see the datacenter of ${printable(vm.id, 40)}`,
    );
  return path
    .slice(0, index + 1)
    .map(({ name }) => name)
    .join('/');
}
