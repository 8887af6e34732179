import { describe, expect, it } from 'vitest';
import { asksForRemote } from '../../../src/config/job-source.js';
import { checkConfig, jobOptions } from '../../../src/config/load.js';
import { configSchema } from '../../../src/config/schema.js';

const config = configSchema.parse({
  remote: {
    connections: [
      { name: 'web', type: 'http', url: 'https://images.example.com/vms' },
      {
        name: 'bucket',
        type: 's3',
        url: 'https://s3.example.com',
        region: 'eu-central-1',
        bucket: 'vms',
        access_key: 'AKID',
        secret: 's3',
      },
      { name: 'az', type: 'azure', subscription: '11111111-2222-3333-4444-555555555555' },
      { name: 'vc1', type: 'vsphere', url: 'https://vc.example.com', user: 'u', secret: 'vc1' },
    ],
  },
});
const sourceOf = (lines: string) => jobOptions(config, `[source]\n${lines}`).source;

describe('[source] of a job.toml', () => {
  it('names a connection and what to fetch by it', () => {
    expect(sourceOf('connection = "web"\nvm = "/prod/web01.ova"')).toEqual({
      type: 'remote',
      connection: 'web',
      vm: ['/prod/web01.ova'],
      transport: 'auto',
      power: 'off',
      sha256: {},
    });
    const several = `connection = "web"\ntype = "http"\nvm = ["a.vmx", "dir/a b.vmdk"]\nsha256 = { "a.vmx" = "${'AB'.repeat(32)}" }`;
    expect(sourceOf(several)).toMatchObject({
      vm: ['a.vmx', 'dir/a b.vmdk'],
      sha256: { 'a.vmx': 'ab'.repeat(32) },
    });
    expect(sourceOf('type = "local"')).toEqual({ type: 'local' });
  });

  it.each([
    ['vm = "https://other.example.com/web01.ova"', 'remote.not-allowed'],
    ['vm = "//other.example.com/web01.ova"', 'remote.not-allowed'],
    ['vm = "\\\\\\\\other\\\\share\\\\web01.ova"', 'remote.not-allowed'],
    ['vm = "file:///etc/shadow"', 'remote.not-allowed'],
    ['vm = "ftp://example.com/x"', 'remote.not-allowed'],
    ['vm = "/a/../../etc/passwd"', 'remote.not-allowed'],
    ['vm = "/a/%2e%2E/secret.vmdk"', 'remote.not-allowed'],
    ['vm = "/a%2f..%2fb.vmdk"', 'remote.not-allowed'],
    ['vm = "/web01.ova?id=3"', 'remote.not-allowed'],
    ['vm = "/web01.ova#part"', 'remote.not-allowed'],
    ['vm = "/a\\u0000b"', 'remote.not-allowed'],
    ['vm = ["/web01.vmx", "http://10.0.0.1/x.vmdk"]', 'remote.not-allowed'],
    ['vm = "/x"\nurl = "https://10.0.0.1/"', 'remote.not-allowed'],
    ['vm = "/x"\nhost = "10.0.0.1"', 'remote.not-allowed'],
    ['vm = "/x"\nca_file = "/etc/ssl/x.pem"', 'remote.not-allowed'],
    ['vm = "/x"\nvddk_libdir = "/opt/vddk"', 'remote.not-allowed'],
    ['vm = "/x"\nnbdkit_plugin = "/tmp/x.so"', 'remote.not-allowed'],
    ['', 'remote.not-allowed'],
    ['vm = "/x"\npassword = "canary"', 'remote.secret-in-job'],
    ['vm = "/x"\nsecret = "canary"', 'remote.secret-in-job'],
    ['vm = "/x"\naccess_key = "canary"', 'remote.secret-in-job'],
    ['vm = "/web01.ova?sv=2020&sig=canary"', 'remote.secret-in-job'],
    ['vm = "/web01.ova?X-Amz-Signature=canary"', 'remote.secret-in-job'],
    ['vm = "/web01.ova?access_token=canary"', 'remote.secret-in-job'],
    ['vm = "https://user:canary@other.example.com/web01.ova"', 'remote.secret-in-job'],
    ['vm = "https://canary@web/web01.ova"', 'remote.secret-in-job'],
  ])('refuses %s', (lines, code) => {
    let thrown: unknown;
    try {
      sourceOf(`connection = "web"\n${lines}`);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ code, retryable: false });
    expect(String(thrown)).not.toContain('canary');
  });

  it.each([
    ['vm = "https://other.example.com/web01.ova"', 'remote.not-allowed'],
    ['vm = "s3://other/web01.ova"', 'remote.not-allowed'],
    ['vm = "/../other/web01.ova"', 'remote.not-allowed'],
    ['vm = "a/./web01.ova"', 'remote.not-allowed'],
    ['vm = "/a\\u0000b"', 'remote.not-allowed'],
    ['vm = "/x"\nbucket = "other"', 'remote.not-allowed'],
    ['vm = "/x"\nregion = "eu-west-1"', 'remote.not-allowed'],
    ['vm = "/x"\npower = "shutdown"', 'remote.not-allowed'],
    ['vm = "/x"\naccess_key = "canary"', 'remote.secret-in-job'],
    ['vm = "/web01.ova?X-Amz-Signature=canary"', 'remote.secret-in-job'],
    ['vm = "https://b.s3.amazonaws.com/web01.ova?X-Amz-Signature=canary"', 'remote.secret-in-job'],
  ])('refuses of S3 %s', (lines, code) => {
    let thrown: unknown;
    try {
      sourceOf(`connection = "bucket"\n${lines}`);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ code, retryable: false });
    expect(String(thrown)).not.toContain('canary');
  });

  it('may ask for a snapshot of a VM of Azure, and of no other', () => {
    expect(sourceOf('connection = "az"\nvm = "/x"\npower = "snapshot"')).toMatchObject({ power: 'snapshot' });
    for (const [connection, power] of [
      ['az', 'shutdown'],
      ['vc1', 'snapshot'],
      ['web', 'snapshot'],
    ])
      expect(() => sourceOf(`connection = "${connection}"\nvm = "/x"\npower = "${power}"`)).toThrow(
        /power must be "off"/,
      );
  });

  it.each(['/prod/web 01.ova', 'a%2e%2e/..x/web01 (old)?#2.vmdk'])('may name an object as %j', (vm) => {
    const lines = `connection = "bucket"\nvm = ${JSON.stringify([vm, 'b.vmx'])}`;
    expect(sourceOf(lines)).toMatchObject({ type: 'remote', vm: [vm, 'b.vmx'] });
  });

  it.each([
    '/Datacenter/vm/Prod/web01',
    '/Datacenter/vm/a%2fb/web01',
    'web01: the shop (old)?#2',
    'user@example',
    'vm-1234',
    '50335f8e-0000-4000-8000-1234567890ab',
  ])('may name a VM of vSphere as %j', (vm) => {
    for (const transport of ['datastore', 'nfc']) {
      const lines = `connection = "vc1"\nvm = ${JSON.stringify(vm)}\ntransport = "${transport}"\npower = "shutdown"`;
      expect(sourceOf(lines)).toMatchObject({ vm: [vm], transport, power: 'shutdown' });
    }
  });

  it.each([
    ['vm = "https://other.example.com/web01"', 'remote.not-allowed'],
    ['vm = "https://u:canary@other.example.com/web01"', 'remote.secret-in-job'],
    ['vm = "a\\u0000b"', 'remote.not-allowed'],
    ['vm = ["web01", "web02"]', 'remote.not-allowed'],
    ['vm = "web01"\nuser = "root"', 'remote.not-allowed'],
    ['vm = "web01"\npassword = "canary"', 'remote.secret-in-job'],
  ])('refuses %s of vSphere', (lines, code) => {
    expect(() => sourceOf(`connection = "vc1"\n${lines}`)).toThrow(expect.objectContaining({ code }));
  });

  it('refuses of files on a server what only a VM has', () => {
    const source = 'connection = "web"\nvm = "/x"\n';
    const refused = expect.objectContaining({ code: 'remote.not-allowed' });
    expect(() => sourceOf(`${source}power = "shutdown"`)).toThrow(refused);
    expect(() => sourceOf(`${source}transport = "datastore"`)).toThrow(refused);
  });

  it('refuses a host or a secret also where nothing else is right', () => {
    expect(() => jobOptions(config, '[source]\nurl = "https://10.0.0.1/x.ova"\n')).toThrow(
      /chooses a server/,
    );
    expect(() => jobOptions(config, '[source]\ntoken = "x"\n')).toThrow(/holds a secret/);
  });

  it('refuses a connection that is not configured, and says which are', () => {
    const refused = { code: 'remote.connection-unknown', advice: expect.stringContaining('web (http)') };
    const attempt = (lines: string) => () => sourceOf(lines);
    expect(attempt('connection = "vc9"\nvm = "/x"')).toThrow(expect.objectContaining(refused));
    expect(attempt('connection = "web"\ntype = "vsphere"\nvm = "/x"')).toThrow(
      expect.objectContaining(refused),
    );
    expect(attempt('vm = "/x"')).toThrow(expect.objectContaining(refused));
  });

  it('refuses what this version does not do', () => {
    const source = 'connection = "web"\nvm = "/x"\n';
    expect(() => sourceOf(`${source}mode = "stream"`)).toThrow(/source.mode is not valid: must be "land"/);
    expect(() => sourceOf(`${source}power = "on"`)).toThrow(/source.power is not valid/);
    expect(() => sourceOf(`${source}sha256 = { "x" = "12" }`)).toThrow(/64 hexadecimal digits/);
    expect(() => sourceOf(`${source}conection = "x"`)).toThrow(
      /source.conection is not an option; did you mean source.connection/,
    );
  });

  it('may be corrected by an operator', () => {
    const text = '[source]\nconnection = "web"\nvm = "/typo.ova"\n';
    const options = jobOptions(config, text, { overrides: { 'source.vm': '/web01.ova' } });
    expect(options.source).toMatchObject({ type: 'remote', vm: ['/web01.ova'] });
  });

  it.each([
    ['[source]\nconnection = "web"\n', true],
    ['[source]\nurl = "http://x"\n', true],
    ['[source]\nkeep = "delete"\n', false],
    ['[source]\ntype = "local"\n', false],
    ['[vm]\nname = "x"\n', false],
    ['source = 3\n', false],
    ['not toml [', false],
  ])('is recognized in %j: %s', (text, expected) => {
    expect(asksForRemote(text)).toBe(expected);
  });
});

describe('[[remote.connections]]', () => {
  const problems = (lines: string) =>
    checkConfig(`[[remote.connections]]\nname = "web"\ntype = "http"\n${lines}`, 'x.toml').problems.map(
      ({ message }) => message,
    );

  it.each([
    ['url = "https://images.example.com"', null],
    ['url = "http://127.0.0.1:8080/"', null],
    ['url = "http://[::1]:8080/"', null],
    ['url = "http://images.example.com"\nallow_plain = true', null],
    ['url = "http://images.example.com"', 'must be https'],
    ['url = "http://127.0.0.1.example.com"', 'must be https'],
    ['url = "https://user:x@images.example.com"', 'must not contain a user'],
    ['url = "https://images.example.com?sig=x"', 'must not contain a user'],
    ['url = "ftp://images.example.com"', 'must be an http or https URL'],
    ['url = "https://x"\nredirect_hosts = ["cdn.example.com", "[::1]:8443"]', null],
    ['url = "https://x"\nredirect_hosts = ["https://cdn.example.com"]', 'must be a host'],
    ['url = "https://x"\nredirect_hosts = ["cdn.example.com/x"]', 'must be a host'],
    ['url = "https://x"\nredirect_hosts = ["cdn example"]', 'must be a host'],
    ['url = "https://x"\nca_file = "ca.pem"', 'must be an absolute path'],
    ['url = "https://x"\nfingerprint = "SHA256:12"', '64 hexadecimal digits'],
    [`url = "https://x"\nfingerprint = "SHA256:${'aB:'.repeat(31)}ab"`, null],
    [`url = "https://x"\nca_file = "/x"\nfingerprint = "SHA256:${'ab'.repeat(32)}"`, 'not both'],
    ['url = "https://x"\nverify = false', 'is not an option'],
  ])('%s', (lines, message) => {
    const found = problems(lines);
    if (message === null) expect(found).toEqual([]);
    else expect(found.join()).toContain(message);
  });

  it.each([
    ['', null],
    [`fingerprint = "SHA256:${'ab'.repeat(32)}"`, null],
    ['allow_plain = true', 'is not an option'],
    ['ca_file = "ca.pem"', 'must be an absolute path'],
    [`ca_file = "/x"\nfingerprint = "SHA256:${'ab'.repeat(32)}"`, 'not both'],
    ['url = "http://vc.example.com"', 'must be https'],
    ['url = "http://127.0.0.1:8989/sdk"', null],
    ['url = "https://vc.example.com/ui"', 'without a path'],
    ['url = "https://u:p@vc.example.com"', 'must not contain a user'],
    ['user = ""', 'user'],
    ['secret = ""', 'secret'],
  ])('of vSphere: %s', (lines, message) => {
    const values = ['url = "https://vc.example.com"', 'user = "u"', 'secret = "vc1"'];
    const kept = values.filter((line) => !lines.startsWith(line.slice(0, line.indexOf('='))));
    const text = ['[[remote.connections]]', 'name = "vc1"', 'type = "vsphere"', ...kept, lines].join('\n');
    const found = checkConfig(text, 'x.toml').problems.map((problem) => `${problem.key} ${problem.message}`);
    if (message === null) expect(found).toEqual([]);
    else expect(found.join()).toContain(message);
  });

  it('refuses two of one name', () => {
    const one = '[[remote.connections]]\nname = "web"\ntype = "http"\nurl = "https://x"\n';
    expect(checkConfig(one + one, 'x.toml').problems.map(({ message }) => message)).toEqual([
      'two connections have the same name',
    ]);
  });
});
