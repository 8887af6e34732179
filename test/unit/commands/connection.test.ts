import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkConnection } from '../../../src/commands/doctor/connection.js';
import { configSchema } from '../../../src/config/schema.js';
import { FileServer } from '../sources/remote/file-server.js';
import { CONTENT, faultBody, SoapServer } from '../sources/remote/transports/vsphere/soap-server.js';

let directory: string;
const before = process.env.CREDENTIALS_DIRECTORY;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'h2k-reach-'));
  process.env.CREDENTIALS_DIRECTORY = directory;
  writeFileSync(join(directory, 'remote_one'), 'Authorization: Bearer canary\n');
});
afterEach(() => {
  if (before === undefined) delete process.env.CREDENTIALS_DIRECTORY;
  else process.env.CREDENTIALS_DIRECTORY = before;
  rmSync(directory, { recursive: true });
});

const check = (connection: object) =>
  checkConnection('one')({
    config: configSchema.parse({ remote: { connections: [{ name: 'one', ...connection }] } }),
    env: {},
    signal: new AbortController().signal,
  });

describe('doctor --connection', () => {
  it('reaches the server of files and each host that it may redirect to, without the secret', async () => {
    const [server, other] = [await FileServer.start(), await FileServer.start()];
    try {
      const found = await check({
        type: 'http',
        url: `${server.url}/vms`,
        secret: 'one',
        redirect_hosts: [`127.0.0.1:${other.port}`, 'nowhere.invalid'],
      });
      expect(found).toMatchObject([
        { name: `127.0.0.1:${server.port}`, status: 'ok', detail: expect.stringContaining('answers 404') },
        { name: `127.0.0.1:${other.port}`, status: 'ok' },
        {
          name: 'nowhere.invalid',
          status: 'fail',
          detail: expect.stringContaining('remote.unreachable'),
          fix: expect.stringContaining('getent hosts nowhere.invalid'),
        },
      ]);
      expect(JSON.stringify([...server.requests, ...other.requests])).not.toContain('canary');
    } finally {
      await server.stop();
      await other.stop();
    }
  });

  it('says what stands in the way', async () => {
    const server = await FileServer.start();
    const url = server.url;
    await server.stop();
    const [refused] = await check({ type: 'http', url });
    expect(refused).toMatchObject({ status: 'fail', detail: expect.stringContaining('ECONNREFUSED') });
    const [secret] = await check({ type: 'http', url, secret: 'missing' });
    expect(secret).toMatchObject({ status: 'fail', detail: expect.stringContaining('secret-unreadable') });
    const [ca] = await check({ type: 'http', url, ca_file: '/nowhere/ca.pem' });
    expect(ca).toMatchObject({ name: 'one', status: 'fail', detail: expect.stringContaining('remote.tls') });
  });

  it('logs in to a vCenter, counts what the user sees, and logs out', async () => {
    const server = await SoapServer.start();
    try {
      const connection = { type: 'vsphere', url: server.server.url, user: 'u', secret: 'one' };
      const objects = '<objects><obj type="VirtualMachine">vm-1</obj></objects>';
      server.answers = {
        RetrieveServiceContent: [CONTENT],
        Login: [
          {
            status: 200,
            text: '<Envelope><Body><LoginResponse/></Body></Envelope>',
            headers: { 'set-cookie': 'vmware_soap_session=1' },
          },
        ],
        CreateContainerView: [
          '<CreateContainerViewResponse><returnval type="ContainerView">view</returnval></CreateContainerViewResponse>',
        ],
        RetrievePropertiesEx: [
          `<RetrievePropertiesExResponse><returnval><token>1</token>${objects}</returnval></RetrievePropertiesExResponse>`,
        ],
        ContinueRetrievePropertiesEx: [
          `<ContinueRetrievePropertiesExResponse><returnval>${objects}</returnval></ContinueRetrievePropertiesExResponse>`,
        ],
        Logout: ['<LogoutResponse/>'],
      };
      expect(await check(connection)).toMatchObject([
        { status: 'ok', detail: '127.0.0.1: VMware vCenter Server 6.5.0 build-5973321, u sees 2 VMs' },
      ]);
      expect(server.requests.map(({ method }) => method).slice(-2)).toEqual(['DestroyView', 'Logout']);
      server.answers.Login = [faultBody('InvalidLogin')];
      expect(await check(connection)).toMatchObject([
        { status: 'fail', detail: expect.stringContaining('remote.auth') },
      ]);
    } finally {
      await server.stop();
    }
  });

  it('refuses a name that is not configured, and names those that are', async () => {
    const config = configSchema.parse({
      remote: { connections: [{ name: 'one', type: 'http', url: 'https://x' }] },
    });
    const unknown = checkConnection('two')({ config, env: {}, signal: new AbortController().signal });
    await expect(unknown).rejects.toMatchObject({
      code: 'remote.connection-unknown',
      advice: expect.stringContaining('There are: one.'),
    });
  });
});
