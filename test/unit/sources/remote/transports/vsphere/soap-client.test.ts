import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { markup } from '../../../../../../src/text/markup.js';
import { envelope, faultBody, SoapServer } from './soap-server.js';

let server: SoapServer;
beforeEach(async () => {
  server = await SoapServer.start();
});
afterEach(() => server.stop());

const call = () =>
  server.client().call('Find', { type: 'SearchIndex', id: 'a&b' }, markup`<name>${'<x> & "y"'}</name>`, {
    headers: { cookie: 'c=1' },
    signal: new AbortController().signal,
  });

describe('SoapClient', () => {
  it('escapes what it sends, and returns all values of the answer', async () => {
    server.answers = {
      Find: [
        '<FindResponse xmlns="urn:vim25"><returnval type="VirtualMachine">vm-1</returnval><returnval/></FindResponse>',
      ],
    };
    const { values } = await call();
    expect(values.map(({ text }) => text)).toEqual(['vm-1', '']);
    const [{ body, headers }] = server.requests as [(typeof server.requests)[number]];
    expect(body).toContain(
      '<Body><Find xmlns="urn:vim25"><_this type="SearchIndex">a&amp;b</_this><name>&lt;x&gt; &amp; &quot;y&quot;</name></Find></Body>',
    );
    expect(headers).toMatchObject({
      cookie: 'c=1',
      soapaction: 'urn:vim25/5.5',
      'content-type': 'text/xml; charset=utf-8',
    });
  });

  it.each([
    ['5.5', '5.5'],
    ['6.0', '6.0'],
    ['6.5', '6.5'],
    ['6.7.3', '6.7'],
    ['7.0.3.0', '6.7'],
    ['10.1', '6.7'],
    ['nonsense', '5.5'],
  ])('asks a server of version %s in version %s', async (version, spoken) => {
    server.answers = { Find: ['<FindResponse xmlns="urn:vim25"/>'] };
    const client = server.client();
    client.speak(version);
    const settings = { headers: {}, signal: new AbortController().signal };
    await client.call('Find', { type: 'X', id: 'x' }, markup``, settings);
    expect(server.requests[0]!.headers.soapaction).toBe(`urn:vim25/${spoken}`);
  });

  it.each([
    ['InvalidLogin', '', 'remote.auth', false],
    ['NotAuthenticated', '', 'remote.auth', false],
    ['NoPermission', '<privilegeId>Datastore.Browse</privilegeId>', 'remote.permission', false],
    ['RestrictedVersion', '', 'remote.license', false],
    ['ManagedObjectNotFound', '', 'remote.not-found', false],
    ['InvalidPowerState', '', 'remote.powered-on', false],
    ['FileLocked', '', 'remote.locked', true],
    ['TaskInProgress', '', 'remote.locked', true],
    ['HostNotConnected', '', 'remote.unreachable', true],
    ['Timedout', '', 'remote.timeout', true],
    ['SystemError', '', 'remote.interrupted', true],
    ['toString', '', 'remote.interrupted', true],
  ])('turns the fault %s into an error', async (type, detail, code, retryable) => {
    server.answers = { Find: [faultBody(type, detail)] };
    const error = await call().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code, retryable, fault: type });
    expect(String(error)).toMatch(new RegExp(`127\\.0\\.0\\.1:\\d+: Find: ${type}, “said”`));
    if (detail !== '') expect(String(error)).toContain('the privilege Datastore.Browse is missing');
  });

  it('does not let a fault write to the terminal', async () => {
    server.answers = { Find: [faultBody('SystemError', '', `\u009b31m${'x'.repeat(5_000)}`)] };
    const error = (await call().catch((thrown: unknown) => thrown)) as Error;
    expect(error.message).not.toContain('\u009b');
    expect(error.message.length).toBeLessThan(500);
  });

  it.each([
    ['nothing', ''],
    ['the page of a proxy', '<html><body>Bad gateway<br></body></html>'],
    ['text', 'Service Unavailable'],
    ['half of it', envelope('<FindResponse xmlns="urn:vim25"/>').slice(0, -20)],
    ['a document type', `<!DOCTYPE x [<!ENTITY a "b">]>${envelope('<FindResponse/>')}`],
    ['another method', envelope('<LoginResponse/>')],
    ['no envelope', '<FindResponse/>'],
    ['too many levels', envelope(`${'<a>'.repeat(90)}${'</a>'.repeat(90)}`)],
    ['too many elements', envelope('<a/>'.repeat(60_000))],
    ['too many bytes', envelope(`<FindResponse>${'x'.repeat(5 * 1024 * 1024)}</FindResponse>`)],
    ['an entity of its own', envelope('<FindResponse>&own;</FindResponse>')],
  ])('gives up an answer that is %s', async (_what, text) => {
    server.answers = { Find: [{ status: 200, text }] };
    await expect(call()).rejects.toMatchObject({ code: 'remote.interrupted', retryable: true });
  });

  it('takes other statuses as a web server means them', async () => {
    server.answers = { Find: [{ status: 503, text: 'busy', headers: { 'retry-after': '7' } }] };
    await expect(call()).rejects.toMatchObject({ code: 'remote.busy', waitSeconds: 7 });
    server.answers = { Find: [{ status: 302, text: '', headers: { location: 'http://127.0.0.1:1/' } }] };
    await expect(call()).rejects.toMatchObject({ code: 'remote.interrupted' });
  });
});
