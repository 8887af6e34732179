import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DatastoreListing } from '../../../../../../src/sources/remote/transports/vsphere/datastore-listing.js';
import { faultBody, SoapServer } from './soap-server.js';

let server: SoapServer;
beforeEach(async () => {
  server = await SoapServer.start();
});
afterEach(() => server.stop());

const { signal } = new AbortController();
const DISK = { datastore: 'ds 1', folder: 'web01', file: 'web01-flat.vmdk' };
const TASK =
  '<SearchDatastore_TaskResponse xmlns="urn:vim25"><returnval type="Task">task-1</returnval></SearchDatastore_TaskResponse>';

function info(inner: string): string {
  return `<RetrievePropertiesExResponse xmlns="urn:vim25"><returnval><objects><obj type="Task">task-1</obj><propSet><name>info</name><val xsi:type="TaskInfo">${inner}</val></propSet></objects></returnval></RetrievePropertiesExResponse>`;
}

function found(time: string): string {
  const files = ['web01.vmdk', 'web01-flat.vmdk'].map(
    (name) =>
      `<file xsi:type="FileInfo"><path>${name}</path><fileSize>5</fileSize><modification>${time}</modification></file>`,
  );
  return info(
    `<state>success</state><result xsi:type="HostDatastoreBrowserSearchResults">${files.join('')}</result>`,
  );
}

async function listing(): Promise<DatastoreListing> {
  const directory = mkdtempSync(join(tmpdir(), 'h2k-listing-'));
  const before = process.env.CREDENTIALS_DIRECTORY;
  process.env.CREDENTIALS_DIRECTORY = directory;
  writeFileSync(join(directory, 'remote_vc1'), 'password\n');
  try {
    const session = server.session();
    server.login();
    await session.login(signal);
    const browsers = new Map([['ds 1', { type: 'HostDatastoreBrowser', id: 'browser-1' }]]);
    return new DatastoreListing(session, browsers, pino({ level: 'silent' }));
  } finally {
    if (before === undefined) delete process.env.CREDENTIALS_DIRECTORY;
    else process.env.CREDENTIALS_DIRECTORY = before;
    rmSync(directory, { recursive: true });
  }
}

const asked = (method: string) => server.requests.filter((request) => request.method === method);

describe('DatastoreListing', () => {
  it('tells size and time of change, and asks once a folder', async () => {
    const files = await listing();
    server.answers.SearchDatastore_Task = [TASK];
    server.answers.RetrievePropertiesEx = [info('<state>running</state>'), found('2026-01-01T00:00:00.5Z')];
    expect(await files.stateOf(DISK, signal)).toBe('5 2026-01-01T00:00:00.5Z');
    expect(await files.stateOf({ ...DISK, file: 'web01.vmdk' }, signal)).toContain('2026');
    // What vCenter hides, and what is on a datastore without a browser.
    expect(await files.stateOf({ ...DISK, file: 'hidden-delta.vmdk' }, signal)).toBeNull();
    expect(await files.stateOf({ ...DISK, datastore: 'other' }, signal)).toBeNull();
    const [search, ...more] = asked('SearchDatastore_Task');
    expect(more).toEqual([]);
    expect(search!.body).toContain('<datastorePath>[ds 1] web01</datastorePath>');
  });

  it('notices that a file was changed while it was fetched', async () => {
    const files = await listing();
    server.answers.SearchDatastore_Task = [TASK];
    server.answers.RetrievePropertiesEx = [found('1'), found('1'), found('2')];
    await files.stateOf(DISK, signal);
    await files.confirm(signal);
    await expect(files.confirm(signal)).rejects.toMatchObject({
      code: 'remote.source-changed',
      message: '[ds 1] web01/web01-flat.vmdk was changed while it was fetched',
    });
  });

  it('does without where the user or the license may not ask', async () => {
    const files = await listing();
    server.answers.SearchDatastore_Task = [faultBody('RestrictedVersion')];
    expect(await files.stateOf(DISK, signal)).toBeNull();
    await files.confirm(signal);
  });

  it('fails with a fault of the task that passes', async () => {
    const files = await listing();
    server.answers.SearchDatastore_Task = [TASK];
    server.answers.RetrievePropertiesEx = [
      info('<state>error</state><error><fault xsi:type="HostNotConnected"/></error>'),
    ];
    await expect(files.stateOf(DISK, signal)).rejects.toMatchObject({ code: 'remote.unreachable' });
  });
});
