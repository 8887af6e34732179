import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { markup } from '../../../../../../src/text/markup.js';
import { CONTENT, faultBody, SoapServer } from './soap-server.js';

let server: SoapServer;
let directory: string;
const before = process.env.CREDENTIALS_DIRECTORY;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'h2k-session-'));
  process.env.CREDENTIALS_DIRECTORY = directory;
  writeFileSync(join(directory, 'remote_vc1'), 'p&<">\n');
  server = await SoapServer.start();
  server.answers = {
    RetrieveServiceContent: [CONTENT],
    Login: [loggedIn(1), loggedIn(2), loggedIn(3)],
    Logout: ['<LogoutResponse xmlns="urn:vim25"/>'],
    Find: ['<FindResponse xmlns="urn:vim25"><returnval>x</returnval></FindResponse>'],
  };
});
afterEach(async () => {
  if (before === undefined) delete process.env.CREDENTIALS_DIRECTORY;
  else process.env.CREDENTIALS_DIRECTORY = before;
  rmSync(directory, { recursive: true });
  await server.stop();
});

const signal = new AbortController().signal;
const loggedIn = (session: number) => ({
  status: 200,
  text: '<Envelope><Body><LoginResponse><returnval/></LoginResponse></Body></Envelope>',
  headers: { 'set-cookie': `vmware_soap_session="s${session}"; Path=/; HttpOnly; Secure;` },
});
const methods = () => server.requests.map(({ method }) => method);

describe('Session', () => {
  it('logs in with the escaped credential, uses the cookie, and logs out', async () => {
    const session = server.session();
    await session.login(signal);
    expect(session).toMatchObject({ isVcenter: true, product: expect.stringContaining('6.5.0') });
    await session.call('Find', session.service('searchIndex'), markup``, signal);
    expect(await session.secret()).toEqual({
      headers: { cookie: 'vmware_soap_session="s1"' },
      query: '',
    });
    await session.logout();
    await session.logout();
    expect(methods()).toEqual(['RetrieveServiceContent', 'Login', 'Find', 'Logout']);
    expect(server.requests[1]!.body).toContain(
      '<userName>DOM\\u&amp;&lt;</userName><password>p&amp;&lt;&quot;&gt;</password>',
    );
    expect(server.requests.map(({ headers }) => headers.cookie)).toEqual([
      undefined,
      undefined,
      'vmware_soap_session="s1"',
      'vmware_soap_session="s1"',
    ]);
    expect((await session.secret()).headers).toEqual({});
  });

  it('logs in once more when the session has expired, and only once', async () => {
    const session = server.session();
    await session.login(signal);
    server.answers.Find!.unshift(faultBody('NotAuthenticated'));
    const [found] = await session.call('Find', session.service('searchIndex'), markup``, signal);
    expect(found!.text).toBe('x');
    expect(methods().slice(2)).toEqual(['Find', 'Logout', 'Login', 'Find']);
    server.answers.Find = [faultBody('NotAuthenticated')];
    const call = session.call('Find', session.service('searchIndex'), markup``, signal);
    await expect(call).rejects.toMatchObject({ code: 'remote.auth' });
    expect(methods().slice(6)).toEqual(['Find', 'Logout', 'Login', 'Find']);
  });

  it('shares one login between requests that are refused at the same time', async () => {
    const session = server.session();
    await session.login(signal);
    const refused = await session.secret();
    await Promise.all([1, 2, 3].map(() => session.renewFor(refused, signal)));
    await session.renewFor(refused, signal);
    expect(methods().filter((method) => method === 'Login')).toHaveLength(2);
    expect((await session.secret()).headers.cookie).toBe('vmware_soap_session="s2"');
  });

  it('does not fail for a logout that fails', async () => {
    const session = server.session();
    await session.login(signal);
    server.answers.Logout = [faultBody('SystemError')];
    await session.logout();
    expect(methods().at(-1)).toBe('Logout');
  });

  it('refuses a wrong password, and a credential that cannot be sent', async () => {
    server.answers.Login = [faultBody('InvalidLogin')];
    await expect(server.session().login(signal)).rejects.toMatchObject({ code: 'remote.auth' });
    writeFileSync(join(directory, 'remote_vc1'), 'a\u202eb\n');
    const refused = { code: 'remote.secret-unreadable' };
    await expect(server.session().login(signal)).rejects.toMatchObject(refused);
    await expect(server.session('other').login(signal)).rejects.toMatchObject(refused);
  });

  it('repeats nothing of what a server says about a login, which may be the password', async () => {
    server.answers.Login = [faultBody('InvalidRequest', '', 'while parsing p&amp;&lt;&quot;&gt;')];
    await expect(server.session().login(signal)).rejects.toMatchObject({
      code: 'remote.interrupted',
      message: `127.0.0.1:${server.server.port}: Login, InvalidRequest`,
    });
  });

  it.each(['', 'other=1', 'vmware_soap_session=a b', `vmware_soap_session=${'x'.repeat(9_000)}`])(
    'begins no session with the cookie %j',
    async (cookie) => {
      server.answers.Login = [{ ...loggedIn(1), headers: { 'set-cookie': cookie } }];
      await expect(server.session().login(signal)).rejects.toMatchObject({ code: 'remote.interrupted' });
    },
  );
});
