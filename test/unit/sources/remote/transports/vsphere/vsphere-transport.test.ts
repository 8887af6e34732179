import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { vsphereTransport } from '../../../../../../src/sources/remote/transports/vsphere/vsphere-transport.js';
import { NOTHING } from '../../undo-book.js';
import { faultBody, SoapServer } from './soap-server.js';
import { HARDWARE } from './vm.js';

let server: SoapServer;
let directory: string;
const before = process.env.CREDENTIALS_DIRECTORY;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'h2k-vsphere-'));
  process.env.CREDENTIALS_DIRECTORY = directory;
  writeFileSync(join(directory, 'remote_vc1'), 'password\n');
  server = await SoapServer.start();
  server.login();
  server.answers = {
    ...server.answers,
    ShutdownGuest: ['<ShutdownGuestResponse xmlns="urn:vim25"/>'],
    FindByInventoryPath: [
      '<FindByInventoryPathResponse xmlns="urn:vim25"><returnval type="VirtualMachine">vm-1</returnval></FindByInventoryPathResponse>',
    ],
  };
});
afterEach(async () => {
  if (before === undefined) delete process.env.CREDENTIALS_DIRECTORY;
  else process.env.CREDENTIALS_DIRECTORY = before;
  rmSync(directory, { recursive: true });
  await server.stop();
});

function open(power: string, transport = 'auto') {
  const { url } = server.server;
  return vsphereTransport.open(
    { vm: ['/DC/vm/web01'], transport, power },
    { name: 'vc1', type: 'vsphere', url, user: 'u', secret: 'vc1' },
    { parallel: 1, signal: new AbortController().signal, log: pino({ level: 'silent' }) },
    NOTHING,
  );
}

/** An answer of the property collector about one object. */
function described(type: string, id: string, properties: Record<string, string>): string {
  const sets = Object.entries(properties).map(
    ([name, inner]) => `<propSet><name>${name}</name><val>${inner}</val></propSet>`,
  );
  return `<RetrievePropertiesExResponse xmlns="urn:vim25"><returnval><objects><obj type="${type}">${id}</obj>${sets.join('')}</objects></returnval></RetrievePropertiesExResponse>`;
}

const vm = (changes: Record<string, string> = {}) =>
  described('VirtualMachine', 'vm-1', {
    name: 'web01',
    'runtime.powerState': 'poweredOn',
    'runtime.connectionState': 'connected',
    'config.changeVersion': '1',
    'config.files.vmPathName': '[ds1] web01/web01.vmx',
    'config.hardware': HARDWARE,
    ...changes,
  });
const methods = () => server.requests.map(({ method }) => method);

describe('vsphereTransport', () => {
  it('does not shut down a VM whose disks cannot be fetched', async () => {
    const raw = HARDWARE.replace('VirtualDiskFlatVer2', 'VirtualDiskRawDiskMappingVer1');
    server.answers.RetrievePropertiesEx = [vm({ 'config.hardware': raw })];
    await expect(open('shutdown')).rejects.toMatchObject({ code: 'remote.unsupported-disk' });
    expect(methods()).not.toContain('ShutdownGuest');
    expect(methods().at(-1)).toBe('Logout');
  });

  it('does not shut down a VM on a datastore without files', async () => {
    server.answers.RetrievePropertiesEx = [
      vm(),
      described('VirtualMachine', 'vm-1', {
        datastore: '<ManagedObjectReference type="Datastore">ds-1</ManagedObjectReference>',
      }),
      described('Datastore', 'ds-1', {
        summary: '<name>ds1</name><accessible>true</accessible><type>vsan</type>',
      }),
    ];
    await expect(open('shutdown', 'datastore')).rejects.toMatchObject({
      code: 'remote.datastore-unreadable',
    });
    expect(methods()).not.toContain('ShutdownGuest');
  });

  it('shuts down one that can be, and says that it still runs where the guest has no tools', async () => {
    server.answers.RetrievePropertiesEx = [
      vm(),
      described('VirtualMachine', 'vm-1', { datastore: '' }),
      vm(),
    ];
    server.answers.ShutdownGuest = [faultBody('ToolsUnavailable')];
    await expect(open('shutdown')).rejects.toMatchObject({ code: 'remote.powered-on' });
    expect(methods().slice(-2)).toEqual(['ShutdownGuest', 'Logout']);
  });

  it('does not take a proxy’s refusal of the API for one of a datastore', async () => {
    server.answers.FindByInventoryPath = [{ status: 403, text: 'no' }];
    await expect(open('off')).rejects.toMatchObject({
      code: 'remote.permission',
      message: `127.0.0.1:${server.server.port}/sdk: the server answered 403`,
    });
  });
});
