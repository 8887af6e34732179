import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Connection } from '../../../../../../src/config/connections.js';
import { configSchema } from '../../../../../../src/config/schema.js';
import type { Hyper2kvmError } from '../../../../../../src/errors/error.js';
import { landVm } from '../../../../../../src/sources/remote/land-vm.js';
import { reachHosts } from '../../../../../../src/sources/remote/transports/registry.js';
import { landingEnvironment, specOf } from '../../landing-environment.js';
import { S3Server } from '../../s3-server.js';
import { signatureOf } from '../../sigv4.js';

const MIB = 1024 * 1024;
const before = process.env.CREDENTIALS_DIRECTORY;
let server: S3Server;
let work: string;
beforeEach(async () => {
  server = await S3Server.start();
  work = mkdtempSync(join(tmpdir(), 'h2k-s3-'));
  process.env.CREDENTIALS_DIRECTORY = work;
  store(server.secretKey);
});
afterEach(async () => {
  if (before === undefined) delete process.env.CREDENTIALS_DIRECTORY;
  else process.env.CREDENTIALS_DIRECTORY = before;
  await server.files.stop();
  rmSync(work, { recursive: true });
});

function store(text: string): void {
  writeFileSync(join(work, 'remote_s3'), `${text}\n`, { mode: 0o600 });
}

const landed = (name: string) => readFileSync(join(work, 'remote/vm', name));

function land(vm: string[], connection: object = {}, settings: { retry?: object; remote?: object } = {}) {
  const { environment } = landingEnvironment(server.files.url, work, {
    connection: { ...server.connection, ...connection },
    ...settings,
  });
  return landVm(specOf(...vm), environment);
}

function reach(connection: object = {}) {
  const { remote } = configSchema.parse({
    remote: { connections: [{ name: 's3', ...server.connection, ...connection }] },
  });
  const [first] = remote.connections as [Connection];
  const log = pino({ level: 'silent' });
  return reachHosts(first, { parallel: 1, signal: new AbortController().signal, log });
}

// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
describe('the peer’s check of signatures', () => {
  const scope = { day: '20130524', region: 'us-east-1', service: 's3' };
  const key = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY';
  const headers = {
    host: 'examplebucket.s3.amazonaws.com',
    'x-amz-content-sha256': 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
    'x-amz-date': '20130524T000000Z',
  };

  it.each([
    ['/test.txt', { range: 'bytes=0-9' }, 'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41'],
    ['/?max-keys=2&prefix=J', {}, '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7'],
    ['/?lifecycle', {}, 'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543'],
  ])('has the results of Amazon’s own examples: %s', (url, more, signature) => {
    const all = { ...headers, ...more };
    const signed = Object.keys(all).sort();
    expect(signatureOf({ method: 'GET', url, headers: all }, { ...scope, signed }, key)).toBe(signature);
  });
});

describe('a VM in a bucket', () => {
  it('is landed by signed requests for parts, several files of it', async () => {
    const disk = randomBytes(2 * MIB + 33);
    server.put('exports/web01/web01.vmdk', disk);
    server.put('exports/web01/web01.vmx', Buffer.from('displayName = "web01"\n'));
    const facts = await land(
      ['/exports/web01/web01.vmdk', 'exports/web01/web01.vmx'],
      {},
      { remote: { chunk_mib: 1 } },
    );
    expect(landed('web01.vmdk').equals(disk)).toBe(true);
    expect(facts).toMatchObject({ type: 's3', transport: 's3', bytes: disk.length + 22 });
    const { requests } = server.files;
    expect(server.verified).toBe(requests.length);
    const parts = requests.filter(({ range }) => range !== undefined && range !== 'bytes=0-0');
    expect(parts).toHaveLength(4);
    expect(parts.every(({ headers }) => headers['if-match'] !== undefined)).toBe(true);
  });

  it.each([
    'a b.raw',
    'a+b.raw',
    'a%20b.raw',
    'Müller/größe (1)!.raw',
    'x//double.raw',
    "it's*~.raw",
    'a&b=c@d:e,f;$.raw',
    'what?.raw',
    'part#1.raw',
    '100%.raw',
    '.hidden/..raw',
    '日本/ディスク.raw',
  ])('may have any key: %s', async (key) => {
    const disk = randomBytes(1000);
    server.put(key, disk);
    await land([key]);
    expect(landed(key.split('/').at(-1)!).equals(disk)).toBe(true);
  });

  it('is found below an endpoint with a path, and where the host has the bucket’s name already', async () => {
    const disk = randomBytes(1000);
    server.files.serve('/other.raw', disk);
    const { port } = server.files;
    // `localhost` stands for a name that begins with the bucket’s: there is no other one on every host.
    const url = `http://127.0.0.1:${port}`;
    server.instead = { status: 404 };
    await expect(land(['/other.raw'], { url, bucket: '127.0.0' })).rejects.toMatchObject({
      message: expect.stringContaining(`127.0.0.1:${port}/other.raw`),
    });
    await expect(land(['/other.raw'], { url: `${url}/store/s3/` })).rejects.toMatchObject({
      message: expect.stringContaining(`127.0.0.1:${port}/store/s3/vm-exports/other.raw`),
    });
  });

  it('continues after a break, and notices an object that was replaced', async () => {
    const disk = randomBytes(2 * MIB);
    server.put('disk.raw', disk);
    server.behave({ cutAfter: 0.7 * MIB });
    const facts = await land(['disk.raw'], {}, { remote: { parallel: 1 } });
    expect(facts.retries).toBeGreaterThan(1);
    expect(landed('disk.raw').equals(disk)).toBe(true);
    expect(server.files.sent).toBeLessThan(1.6 * disk.length);

    server.behave({});
    server.put('a.raw', randomBytes(1000));
    await land(['disk.raw', 'a.raw']);
    server.put('a.raw', randomBytes(1000));
    await expect(land(['disk.raw', 'a.raw'])).rejects.toMatchObject({ code: 'remote.source-changed' });
  });

  it('is read with temporary keys, whose token is on the second line', async () => {
    server.sessionToken = 'FwoGZXIvYXdzEBYaD+token==';
    server.put('disk.raw', randomBytes(1000));
    await expect(land(['disk.raw'])).rejects.toMatchObject({
      code: 'remote.auth',
      advice: expect.stringContaining('session token'),
    });
    store(`${server.secretKey}\n${server.sessionToken}`);
    await land(['disk.raw']);
  });
});

describe('what S3 refuses', () => {
  const cases: [string, () => unknown, object, { code: string; message?: RegExp; advice?: RegExp }][] = [
    [
      'another key',
      () => store('wrong'),
      {},
      { code: 'remote.auth', message: /answered 403 SignatureDoesNotMatch$/, advice: /secret key/ },
    ],
    [
      'an unknown key',
      () => {},
      { access_key: 'AKIDOTHER' },
      { code: 'remote.auth', message: /InvalidAccessKeyId/ },
    ],
    [
      'a clock that is behind',
      () => (server.aheadMilliseconds = 20 * 60_000),
      {},
      {
        code: 'remote.auth',
        message: /RequestTimeTooSkewed/,
        advice: /clock differs from the server’s by 20 min/,
      },
    ],
    [
      'another region',
      () => {},
      { region: 'us-east-1' },
      { code: 'remote.auth', message: /AuthorizationHeaderMalformed/, advice: /region = "eu-central-1"/ },
    ],
    [
      'an object that may not be read',
      () => server.denied.add('disk.raw'),
      {},
      { code: 'remote.permission', message: /AccessDenied \(User is not authorized/, advice: /s3:GetObject/ },
    ],
    ['another bucket', () => {}, { bucket: 'other' }, { code: 'remote.not-found', message: /NoSuchBucket/ }],
    [
      'an object that is not there',
      () => server.files.files.clear(),
      {},
      { code: 'remote.not-found', message: /NoSuchKey/ },
    ],
    [
      'an archived object',
      () => instead(403, 'InvalidObjectState'),
      {},
      { code: 'remote.permission', advice: /Glacier/ },
    ],
    ['keys that have expired', () => instead(400, 'ExpiredToken'), {}, { code: 'remote.expired' }],
    [
      'an encrypted object',
      () => instead(400, 'InvalidRequest'),
      {},
      { code: 'remote.permission', message: /InvalidRequest/ },
    ],
    ['a code that names a property', () => instead(403, 'constructor'), {}, { code: 'remote.permission' }],
    [
      'no error of S3',
      () => (server.instead = { status: 403, xml: '<html>' }),
      {},
      { code: 'remote.permission' },
    ],
    ['401', () => instead(401, 'Unauthorized'), {}, { code: 'remote.auth' }],
    [
      'a bucket elsewhere',
      () =>
        instead(301, 'PermanentRedirect', '<Endpoint>vm-exports.s3-eu-west-1.amazonaws.com</Endpoint>', {
          'x-amz-bucket-region': 'eu-west-1',
        }),
      {},
      {
        code: 'remote.not-allowed',
        advice: /region = "eu-west-1", url = "https:\/\/vm-exports.s3-eu-west-1.amazonaws.com"/,
      },
    ],
    [
      'a redirect',
      () => (server.instead = { status: 307, headers: { location: 'http://127.0.0.1:1/x' } }),
      {},
      { code: 'remote.not-allowed', advice: /127\.0\.0\.1:1/ },
    ],
  ];

  function instead(status: number, code: string, more = '', headers: Record<string, string> = {}): void {
    server.instead = { status, xml: `<Error><Code>${code}</Code>${more}</Error>`, headers };
  }

  it.each(cases)('%s', async (_what, prepare, connection, { code, message = /./, advice = /./ }) => {
    server.put('disk.raw', randomBytes(1000));
    prepare();
    const error = await land(['disk.raw'], connection).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code, retryable: false });
    expect((error as Hyper2kvmError).message).toMatch(message);
    expect((error as Hyper2kvmError).advice).toMatch(advice);
    expect(JSON.stringify([error, String(error)])).not.toContain(server.secretKey);
  });

  it.each([
    [503, 'SlowDown', 'remote.busy'],
    [429, 'TooManyRequests', 'remote.busy'],
    [400, 'RequestTimeout', 'remote.timeout'],
    [500, 'InternalError', 'remote.interrupted'],
  ])('passes: %d %s', async (status, s3Code, code) => {
    server.put('disk.raw', randomBytes(1000));
    instead(status, s3Code, '', { 'retry-after': '0' });
    await expect(land(['disk.raw'])).rejects.toMatchObject({ code, retryable: true });
  });

  it('waits as long as SlowDown says, and goes on', async () => {
    const disk = randomBytes(MIB);
    server.put('disk.raw', disk);
    let left = 3;
    const { instead: verify } = server.files.behaviour;
    server.files.behaviour.instead = (request, response) => {
      if (request.headers.range === 'bytes=0-0' || left === 0) return verify!(request, response);
      left -= 1;
      response.writeHead(503, { 'retry-after': '0' }).end('<Error><Code>SlowDown</Code></Error>');
      return true;
    };
    const facts = await land(['disk.raw'], {}, { retry: { attempts: 9 } });
    expect(facts.retries).toBe(3);
    expect(landed('disk.raw').equals(disk)).toBe(true);
  });

  it.each(['', '\n', 'two words', 'a\nb\nc'])('no request is made with the credential %j', async (text) => {
    store(text);
    await expect(land(['disk.raw'])).rejects.toMatchObject({ code: 'remote.secret-unreadable' });
    expect(server.files.requests).toEqual([]);
  });
});

describe('doctor', () => {
  it('says that the key is accepted, whether or not it may list the bucket', async () => {
    const host = `127.0.0.1:${server.files.port}`;
    expect(await reach()).toEqual([
      { host, found: '127.0.0.1: the key is accepted and may list vm-exports' },
    ]);
    server.denied.add('');
    expect(await reach()).toEqual([
      { host, found: expect.stringContaining('the key is accepted, and may not list vm-exports') },
    ]);
    store('wrong');
    expect(await reach()).toEqual([{ host, found: expect.objectContaining({ code: 'remote.auth' }) }]);
  });

  it('verifies the server’s certificate, before a signature is sent', async () => {
    const [key, cert] = [join(work, 'key.pem'), join(work, 'cert.pem')];
    const subject = ['-subj', '/CN=peer', '-addext', 'subjectAltName=IP:127.0.0.1'];
    const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
    execFileSync('openssl', ['req', '-x509', ...kind, ...subject, '-keyout', key, '-out', cert], {
      stdio: 'ignore',
    });
    await server.files.stop();
    server = await S3Server.start({ key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') });
    expect(await reach()).toEqual([
      { host: expect.anything(), found: expect.objectContaining({ code: 'remote.tls' }) },
    ]);
    expect(server.files.requests).toEqual([]);
    expect(await reach({ ca_file: cert })).toEqual([
      { host: expect.anything(), found: expect.stringContaining('the key is accepted') },
    ]);
  });
});

describe('the connection', () => {
  it.each([
    { url: 'http://s3.example.com' },
    { url: 'https://key:canary@s3.example.com' },
    { url: 'https://s3.example.com?x=1' },
    { bucket: '../other' },
    { bucket: 'a/b' },
    { bucket: '' },
    { access_key: 'a/b' },
    { access_key: 'a\nb' },
    { region: '' },
    { secret: '' },
    { ca_file: '/a', fingerprint: `SHA256:${'ab'.repeat(32)}` },
  ])('may not be %j', (wrong) => {
    const connection = { name: 's3', ...server.connection, ...wrong };
    expect(configSchema.safeParse({ remote: { connections: [connection] } }).success).toBe(false);
  });

  it('is plain http only if it says so', () => {
    const connection = { name: 's3', ...server.connection, url: 'http://minio.lan:9000', allow_plain: true };
    expect(configSchema.safeParse({ remote: { connections: [connection] } }).success).toBe(true);
  });
});

it('leaves no temporary file behind a refusal', async () => {
  await expect(land(['nothing.raw'])).rejects.toMatchObject({ code: 'remote.not-found' });
  expect(readdirSync(work)).toEqual(['remote_s3']);
});
