import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NfcLease } from '../../../../../../src/sources/remote/transports/vsphere/nfc-lease.js';
import { envelope, faultBody, SoapServer } from './soap-server.js';

const { signal } = new AbortController();
const KEY = '/vm-1/ParaVirtualSCSIController0:0';
const DEVICE = `<deviceUrl><key>${KEY}</key><url>https://*/nfc/1/disk-0.vmdk</url><disk>true</disk></deviceUrl>`;
const READY =
  '<RetrievePropertiesExResponse xmlns="urn:vim25"><returnval><objects><obj type="HttpNfcLease">lease-1</obj>' +
  '<propSet><name>state</name><val>ready</val></propSet>' +
  `<propSet><name>info</name><val>${DEVICE}<leaseTimeout>300</leaseTimeout></val></propSet></objects></returnval></RetrievePropertiesExResponse>`;
const MANIFEST = `<HttpNfcLeaseGetManifestResponse xmlns="urn:vim25"><returnval><key>${KEY}</key><size>4711</size></returnval></HttpNfcLeaseGetManifestResponse>`;
const BUSY = { status: 503, text: 'busy' };

let server: SoapServer;
let directory: string;
let lease: NfcLease;
const before = process.env.CREDENTIALS_DIRECTORY;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'h2k-lease-'));
  process.env.CREDENTIALS_DIRECTORY = directory;
  writeFileSync(join(directory, 'remote_vc1'), 'password\n');
  server = await SoapServer.start();
  server.login();
  server.answers.ExportVm = [
    '<ExportVmResponse xmlns="urn:vim25"><returnval type="HttpNfcLease">lease-1</returnval></ExportVmResponse>',
  ];
  server.answers.RetrievePropertiesEx = [READY];
  server.answers.HttpNfcLeaseAbort = ['<HttpNfcLeaseAbortResponse xmlns="urn:vim25"/>'];
  const session = server.session();
  await session.login(signal);
  const log = pino({ level: 'silent' });
  lease = await NfcLease.begin(
    session,
    { type: 'VirtualMachine', id: 'vm-1' },
    { percent: () => 0, log, signal },
  );
});
afterEach(async () => {
  await lease.abort();
  if (before === undefined) delete process.env.CREDENTIALS_DIRECTORY;
  else process.env.CREDENTIALS_DIRECTORY = before;
  rmSync(directory, { recursive: true });
  await server.stop();
});

describe('how many bytes a host has sent of a disk', () => {
  it('is asked for again, because the whole disk would begin again otherwise', async () => {
    server.answers.HttpNfcLeaseGetManifest = [BUSY, MANIFEST];
    expect(await lease.sentBytes(lease.devices[0]!, signal)).toBe(4_711);
  });

  it('is not known if the host has no manifest', async () => {
    server.answers.HttpNfcLeaseGetManifest = [{ status: 500, text: envelopeOf('NotSupported') }];
    expect(await lease.sentBytes(lease.devices[0]!, signal)).toBeNull();
    expect(server.requests.filter(({ method }) => method === 'HttpNfcLeaseGetManifest')).toHaveLength(1);
  });

  it('is not waited for after an abort', async () => {
    server.answers.HttpNfcLeaseGetManifest = [BUSY];
    const stop = new AbortController();
    const asked = lease.sentBytes(lease.devices[0]!, stop.signal);
    stop.abort(new Error('cancelled'));
    await expect(asked).rejects.toThrow('cancelled');
  });
});

function envelopeOf(fault: string): string {
  return envelope(faultBody(fault));
}
