import { isAbsolute } from 'node:path';
import { z } from 'zod';

/** `[remote]`: where VMs may be fetched from, and how much of the network that may use. */

const name = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/,
    'must be at most 63 letters, digits, dots, dashes and underscores',
  );

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

const serverUrl = z.url({ protocol: /^https?$/, error: 'must be an http or https URL' }).refine((text) => {
  const { username, password, search, hash } = new URL(text);
  return [username, password, search, hash].every((part) => part === '');
}, 'must not contain a user, a password, a query or a fragment: secrets are credentials (docs/remote.md)');

const HOST_RULE = 'must be a host, or host:port, without https:// and without a path';

function isHost(text: string): boolean {
  return /^[^/?#@\\\s]+$/.test(text) && URL.canParse(`https://${text}/`);
}

/** `SHA256:` and the digest of the server's certificate, in hexadecimal with or without colons. */
const fingerprint = z
  .string()
  .regex(/^SHA256:([0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}$/, 'must be SHA256: and 64 hexadecimal digits');

const httpConnection = z
  .strictObject({
    name,
    type: z.literal('http'),
    url: serverUrl,
    /** Name of a credential; empty if the server asks for none. */
    secret: z.union([z.literal(''), name]).default(''),
    ca_file: z.string().refine(isAbsolute, 'must be an absolute path').optional(),
    fingerprint: fingerprint.optional(),
    allow_plain: z.boolean().default(false),
    /** `host` or `host:port` that the server may redirect to; it gets no secret. */
    redirect_hosts: z.array(z.string().max(255).refine(isHost, HOST_RULE)).max(32).default([]),
  })
  .refine(({ ca_file, fingerprint: pin }) => ca_file === undefined || pin === undefined, {
    message: 'set ca_file or fingerprint, not both',
    path: ['fingerprint'],
  })
  .refine(({ url, allow_plain }) => isEncrypted(url) || allow_plain, {
    message: 'must be https; plain http only for loopback, or with allow_plain = true',
    path: ['url'],
  });

const vsphereConnection = z
  .strictObject({
    name,
    type: z.literal('vsphere'),
    /** Of a vCenter or an ESXi host. */
    url: serverUrl.refine(
      (text) => ['/', '/sdk', '/sdk/'].includes(new URL(text).pathname),
      'must be the address of the vCenter or ESXi host, without a path',
    ),
    user: z.string().min(1).max(255),
    /** Name of the credential with the password. */
    secret: name,
    ca_file: z.string().refine(isAbsolute, 'must be an absolute path').optional(),
    fingerprint: fingerprint.optional(),
  })
  .refine(({ ca_file, fingerprint: pin }) => ca_file === undefined || pin === undefined, {
    message: 'set ca_file or fingerprint, not both',
    path: ['fingerprint'],
  })
  .refine(({ url }) => isEncrypted(url), {
    message: 'must be https: a password is sent to it',
    path: ['url'],
  });

/** Neither an option of ssh nor something that it expands. */
const sshWord = (text: string) => /^[A-Za-z0-9_][A-Za-z0-9_.@\\-]{0,254}$/.test(text);

const esxiSshConnection = z.strictObject({
  name,
  type: z.literal('esxi-ssh'),
  url: z.url({ protocol: /^ssh$/, error: 'must be ssh://HOST or ssh://HOST:PORT' }).refine((text) => {
    const { hostname, username, password, pathname, search, hash } = new URL(text);
    const isHost = /^([A-Za-z0-9][A-Za-z0-9.-]{0,253}|\[[0-9A-Fa-f:.]+\])$/.test(hostname);
    return (
      isHost && [username, password, pathname.replace(/^\/$/, ''), search, hash].every((one) => one === '')
    );
  }, 'must be ssh://HOST or ssh://HOST:PORT, nothing else'),
  user: z.string().refine(sshWord, 'must be letters, digits and . _ - @ \\'),
  /** Name of the credential with the private key. */
  secret: name,
  /** The host's key, as ssh-keyscan prints it. */
  known_hosts: z
    .string()
    .refine(
      (path) => isAbsolute(path) && !/[\s"'%~]/.test(path),
      'must be an absolute path without spaces, quotes, % and ~',
    ),
});

function isEncrypted(url: string): boolean {
  const { protocol, hostname } = new URL(url);
  return protocol === 'https:' || LOOPBACK.test(hostname);
}

const connection = z.discriminatedUnion('type', [httpConnection, vsphereConnection, esxiSshConnection]);
export type Connection = z.infer<typeof connection>;
export type HttpConnection = z.infer<typeof httpConnection>;
export type VsphereConnection = z.infer<typeof vsphereConnection>;
export type EsxiSshConnection = z.infer<typeof esxiSshConnection>;

const live = { reload: true, setBy: 'operator' } as const;

export const remoteTable = z
  .strictObject({
    parallel: z
      .int()
      .min(1)
      .max(16)
      .default(4)
      .meta({ description: 'Requests at once for one disk.', ...live }),
    per_host: z
      .int()
      .min(1)
      .max(64)
      .default(2)
      .meta({ description: 'Disks fetched at once from one host, over all jobs.', ...live }),
    bandwidth_mib: z
      .number()
      .min(0)
      .max(1_000_000)
      .default(0)
      .meta({ description: 'Limit over all fetches (MiB per second); 0 for none.', ...live }),
    chunk_mib: z
      .int()
      .min(1)
      .max(1_024)
      .default(8)
      .meta({ description: 'Size of one request (MiB).', ...live }),
    socket: z.string().default('/run/hyper2kvm/fetch.sock').meta({
      description:
        'Socket of hyper2kvm-fetch.service, which has the network that the daemon lacks. Empty: the daemon fetches by itself.',
    }),
    connections: z
      .array(connection)
      .default([])
      .meta({
        description:
          'Servers that a job.toml may name, each {name, type, url, secret, ca_file or fingerprint, and what its type has} (docs/remote.md).',
        ...live,
      }),
  })
  .refine(
    ({ connections }) => new Set(connections.map((one) => one.name)).size === connections.length,
    'two connections have the same name',
  )
  .prefault({});
