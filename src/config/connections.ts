import { isAbsolute } from 'node:path';
import { z } from 'zod';

/** `[[remote.connections]]`: the servers that VMs may be fetched from, a schema for each type. */

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

/** How the server's certificate is checked. */
const trust = {
  ca_file: z.string().refine(isAbsolute, 'must be an absolute path').optional(),
  fingerprint: fingerprint.optional(),
};

function hasOnePin(pins: { ca_file?: string | undefined; fingerprint?: string | undefined }): boolean {
  return pins.ca_file === undefined || pins.fingerprint === undefined;
}

const ONE_PIN = { message: 'set ca_file or fingerprint, not both', path: ['fingerprint'] };

function isSafe({ url, allow_plain }: { url: string; allow_plain: boolean }): boolean {
  return isEncrypted(url) || allow_plain;
}

const SAFE = {
  message: 'must be https; plain http only for loopback, or with allow_plain = true',
  path: ['url'],
};

const httpConnection = z
  .strictObject({
    name,
    type: z.literal('http'),
    url: serverUrl,
    /** Name of a credential; empty if the server asks for none. */
    secret: z.union([z.literal(''), name]).default(''),
    ...trust,
    allow_plain: z.boolean().default(false),
    /** `host` or `host:port` that the server may redirect to; it gets no secret. */
    redirect_hosts: z.array(z.string().max(255).refine(isHost, HOST_RULE)).max(32).default([]),
  })
  .refine(hasOnePin, ONE_PIN)
  .refine(isSafe, SAFE);

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
    ...trust,
  })
  .refine(hasOnePin, ONE_PIN)
  .refine(({ url }) => isEncrypted(url), {
    message: 'must be https: a password is sent to it',
    path: ['url'],
  });

const s3Connection = z
  .strictObject({
    name,
    type: z.literal('s3'),
    /** The endpoint. A host that begins with the bucket's name has it already. */
    url: serverUrl,
    region: z.string().regex(/^[A-Za-z0-9-]{1,64}$/, 'must be a region such as "eu-central-1"'),
    bucket: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,254}$/, 'must be letters, digits, dots, dashes and underscores'),
    access_key: z
      .string()
      .regex(/^[A-Za-z0-9._@+-]{1,128}$/, 'must be letters, digits and . _ @ + - (the id, not the secret)'),
    /** Name of the credential with the secret key. */
    secret: name,
    ...trust,
    allow_plain: z.boolean().default(false),
  })
  .refine(hasOnePin, ONE_PIN)
  .refine(isSafe, SAFE);

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

export const connection = z.discriminatedUnion('type', [
  httpConnection,
  s3Connection,
  vsphereConnection,
  esxiSshConnection,
]);
export type Connection = z.infer<typeof connection>;
export type HttpConnection = z.infer<typeof httpConnection>;
export type S3Connection = z.infer<typeof s3Connection>;
export type VsphereConnection = z.infer<typeof vsphereConnection>;
export type EsxiSshConnection = z.infer<typeof esxiSshConnection>;
