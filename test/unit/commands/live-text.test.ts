import { expect, test } from 'vitest';
import { appliedText, liveCommandLine, nextText } from '../../../src/commands/live-text.js';

const HOST = { host: 'web01', user: null, port: null, identity: null, knownHosts: null };

test('what is to be typed next reaches the same host in the same way', () => {
  expect(nextText(liveCommandLine(HOST, undefined), 'sha256:0', 1)).toContain(
    '\n  hyper2kvm live web01 --apply sha256:0\n',
  );
  const target = { host: '[::1]', user: 'root', port: 2222, identity: '/a key', knownHosts: '/known' };
  expect(appliedText(liveCommandLine(target, '/c.toml'), 'ID', [{ path: '/etc/fstab' }])).toBe(
    "changed /etc/fstab\nTo undo it:\n  hyper2kvm live '[::1]' --user root --port 2222 --identity '/a key' --known-hosts /known --config /c.toml --rollback ID\n",
  );
});

test('a host on which nothing has to be done is not asked to be changed', () => {
  expect(nextText('hyper2kvm live web01', 'sha256:0', 0)).not.toContain('--apply');
  expect(appliedText('hyper2kvm live web01', null, [])).toBe('Nothing to change.\n');
});
