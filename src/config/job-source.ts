import { z } from 'zod';
import { Hyper2kvmError } from '../errors/error.js';
import { printable } from '../text/escape-terminal.js';
import { readToml } from './check.js';
import type { Connection } from './connections.js';

/**
 * `[source]` of a job.toml: which VM to fetch by which of the operator's connections. Whoever may drop may
 * choose neither hosts nor secrets, so a table that names one is refused here, before any connection.
 */

const path = z.string().min(1).max(4_096);
const MAX_PATHS = 1_000;

export const jobSourceTable = z.strictObject({
  /** `local` for the drop itself, otherwise the type of the connection. */
  type: z.string().optional(),
  connection: z.string().optional(),
  vm: z.union([path, z.array(path).min(1).max(MAX_PATHS)]).optional(),
  transport: z.enum(['auto', 'datastore', 'nfc'], 'must be "auto", "datastore" or "nfc"').optional(),
  power: z.enum(['off', 'shutdown', 'snapshot'], 'must be "off", "shutdown" or "snapshot"').optional(),
  mode: z.enum(['land'], 'must be "land": this version copies a VM before it converts it').optional(),
  sha256: z
    .record(z.string().max(255), z.string().regex(/^[0-9A-Fa-f]{64}$/, 'must be 64 hexadecimal digits'))
    .optional(),
});

/**
 * Whether a job.toml's text has a `[source]` that asks for a VM elsewhere, or tries to. (`keep` is the former
 * name of `archive.source`.)
 */
export function asksForRemote(text: string): boolean {
  const { source } = readToml(text, 'job.toml').table;
  if (typeof source !== 'object' || source === null) return false;
  return Object.entries(source).some(
    ([key, value]) => key !== 'keep' && !(key === 'type' && value === 'local'),
  );
}

/** A VM that one of the connections is asked for. */
interface RemoteSource {
  type: 'remote';
  connection: string;
  vm: string[];
  transport: 'auto' | 'datastore' | 'nfc';
  power: 'off' | 'shutdown' | 'snapshot';
  /** By file name, lower-case hexadecimal. */
  sha256: Record<string, string>;
}

/** Keys that people try, because other tools have them: they are the operator's. */
const SECRET_KEYS = /^(secret|password|passwd|token|access_?key|secret_?key|sas|signature|credential)s?$/i;
const HOST_KEYS =
  /^(url|uri|host|hostname|server|endpoint|address|port|proxy|user|username|ca_?file|fingerprint|known_hosts|allow_plain|redirect_hosts|bucket|region|tenant|subscription|client_id|.*_?(libdir|plugin|file|path|socket))$/i;

/** Names in a query that carry the right to read: of Azure, S3, Google, and of everybody's own servers. */
const SECRET_QUERY =
  /^(sig|se|sp|sv|x-(amz|goog|ms)-.*|.*(signature|token|secret|passw|pwd|key|auth|credential).*)$/i;

/**
 * Throws `remote.secret-in-job` or `remote.not-allowed` for a `[source]` table that names a host, a secret, a
 * signed URL or a file of the host. The message never repeats a value.
 */
export function refuseForeignSource(written: unknown, connections: readonly Connection[]): void {
  if (typeof written !== 'object' || written === null) return;
  for (const key of Object.keys(written)) {
    if (SECRET_KEYS.test(key)) throw secretInJob(`[source] ${key}`);
    if (HOST_KEYS.test(key)) throw notAllowed(`[source] ${key} chooses a server or a file of this host`);
  }
  const { vm, connection } = written as { vm?: unknown; connection?: unknown };
  const { type = 'http' } = connections.find(({ name }) => name === connection) ?? {};
  const refuse = type === 'http' ? refusePath : type === 's3' ? refuseKey : refuseVmName;
  for (const one of Array.isArray(vm) ? vm : [vm]) if (typeof one === 'string') refuse(one);
}

/** Names in an inventory may have `?`, `#`, `:` and `%2f`. */
function refuseVmName(vm: string): void {
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(vm)) refusePath(vm);
  if (/[\0-\x1f\x7f]/.test(vm)) throw notAllowed('[source] vm has control characters');
}

/** Keys of objects may have every character. */
function refuseKey(vm: string): void {
  refuseVmName(vm);
  const query = new URLSearchParams(vm.slice(vm.indexOf('?')));
  if (vm.includes('?') && [...query.keys()].some((name) => SECRET_QUERY.test(name)))
    throw secretInJob('[source] vm');
  if (vm.split('/').some((part) => part === '.' || part === '..'))
    throw notAllowed('[source] vm has a part “.” or “..”');
}

function refusePath(vm: string): void {
  const base = 'https://connection.invalid/';
  if (!URL.canParse(vm, base)) throw notAllowed('[source] vm is not a path');
  const { origin, username, password, searchParams, search, hash } = new URL(vm, base);
  if (username !== '' || password !== '' || [...searchParams.keys()].some((key) => SECRET_QUERY.test(key)))
    throw secretInJob('[source] vm');
  if (origin !== new URL(base).origin) throw notAllowed('[source] vm names a server, not a path on one');
  if (search !== '' || hash !== '' || vm.includes('?'))
    throw notAllowed('[source] vm has a query or a fragment');
  // The parser has removed `..`, which leads out of what the connection's URL offers.
  const parts = vm.split(/[/\\]/).map((part) => part.replace(/%2e/gi, '.'));
  if (parts.includes('..') || /[\0-\x1f\x7f]|%(2f|5c|[01][0-9a-f]|7f)/i.test(vm))
    throw notAllowed('[source] vm has a part that leads elsewhere (“..”, an escaped slash)');
}

/**
 * Returns the source that a checked table stands for. Throws `remote.connection-unknown`, `remote.not-allowed`.
 */
export function resolveSource(
  table: z.infer<typeof jobSourceTable>,
  connections: readonly Connection[],
): { type: 'local' } | RemoteSource {
  const { connection: wanted, vm, type } = table;
  if (wanted === undefined) {
    if (type === 'local' && vm === undefined) return { type: 'local' };
    throw new Hyper2kvmError('remote.connection-unknown', '[source] has no `connection`', {
      facts: known(connections),
    });
  }
  const connection = connections.find(({ name }) => name === wanted);
  if (connection === undefined || (type !== undefined && type !== connection.type)) {
    const kind = connection === undefined || type === undefined ? '' : ` of the type “${printable(type)}”`;
    throw new Hyper2kvmError(
      'remote.connection-unknown',
      `there is no connection “${printable(wanted)}”${kind}`,
      { facts: known(connections) },
    );
  }
  if (vm === undefined) throw notAllowed('[source] has no `vm`: it says what to fetch');
  refuseOtherKinds(table, connection);
  return {
    type: 'remote',
    connection: wanted,
    vm: Array.isArray(vm) ? vm : [vm],
    transport: table.transport ?? 'auto',
    power: table.power ?? 'off',
    sha256: lowerCase(table.sha256 ?? {}),
  };
}

/** What a connection can do with a VM that runs. */
const POWERS: Partial<Record<Connection['type'], string[]>> = { vsphere: ['shutdown'], azure: ['snapshot'] };

/** Throws for what the connection's type does not have. */
function refuseOtherKinds(
  { vm, transport, power }: z.infer<typeof jobSourceTable>,
  { name, type }: Connection,
): void {
  if (type !== 'vsphere' && (transport ?? 'auto') !== 'auto')
    throw notAllowed(`[source] transport must be "auto": ${name} is a connection of the type ${type}`);
  const powers = ['off', ...(POWERS[type] ?? [])];
  if (!powers.includes(power ?? 'off'))
    throw notAllowed(
      `[source] power must be ${powers.map((one) => `"${one}"`).join(' or ')} for a connection of the type ${type}`,
    );
  if (type !== 'http' && type !== 's3' && Array.isArray(vm) && vm.length > 1)
    throw notAllowed('[source] vm is a list: name one VM by its path, name, UUID or id');
}

function lowerCase(digests: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(digests).map(([name, hex]) => [name, hex.toLowerCase()]));
}

function known(connections: readonly Connection[]): string {
  return connections.length === 0
    ? 'None is configured.'
    : `Known connections: ${connections.map(({ name, type }) => `${name} (${type})`).join(', ')}.`;
}

function secretInJob(where: string): Hyper2kvmError {
  return new Hyper2kvmError('remote.secret-in-job', `${where} holds a secret, or the key of a signed URL`);
}

function notAllowed(message: string): Hyper2kvmError {
  return new Hyper2kvmError('remote.not-allowed', message);
}
