import { describe, expect, test } from 'vitest';
import { withoutNoise } from '../../../src/ssh/noise.js';
import { assertHost, sshOptions } from '../../../src/ssh/target.js';

const NOTHING = { user: null, port: null, identity: null, knownHosts: null };

describe('ssh’s options', () => {
  test('demand a known host key, before anything that ssh_config says', () => {
    const options = sshOptions(NOTHING);
    expect(options.slice(0, 2)).toEqual(['-o', 'StrictHostKeyChecking=yes']);
    for (const option of ['NoHostAuthenticationForLocalhost=no', 'KnownHostsCommand=none', 'BatchMode=yes'])
      expect(options).toContain(option);
  });

  test('name the file of known hosts alone, whatever is in its name', () => {
    expect(sshOptions({ ...NOTHING, knownHosts: '/a b/100%' })).toContain('UserKnownHostsFile="/a b/100%%"');
    for (const knownHosts of ['relative', '/a"b', '/a\\b', '/$HOME/b'])
      expect(() => sshOptions({ ...NOTHING, knownHosts })).toThrow('cannot be passed to ssh');
  });
});

test.each(['web01', 'web01.example.com', '10.0.0.1', '[::1]', 'fe80::1%eth0'])('%s is a host', (host) =>
  expect(() => assertHost(host)).not.toThrow(),
);
test.each(['-oProxyCommand=x', '', 'a b', 'a;b', 'root@web01', 'a\nb'])('%j is not a host', (host) =>
  expect(() => assertHost(host)).toThrow('is not the name of a host'),
);

describe('what a login shell prints', () => {
  const through = (chunks: readonly string[]) => {
    let text = '';
    const pass = withoutNoise('mark', (chunk) => {
      text += chunk.toString();
    });
    for (const chunk of chunks) pass(Buffer.from(chunk));
    return text;
  };

  test('is left out before the mark, and only there', () => {
    expect(through(['Welcome\n\nmark\nhello\nmark\n'])).toBe('hello\nmark\n');
    expect(through(['\nmark\n'])).toBe('');
    expect(through(['nothing'])).toBe('');
  });

  test('is left out wherever the mark is cut', () => {
    const whole = 'x\nmark\nhello';
    for (let cut = 0; cut <= whole.length; cut++)
      expect(through([whole.slice(0, cut), whole.slice(cut)])).toBe('hello');
    expect(through([...whole])).toBe('hello');
  });
});
