import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { configSchema } from '../../../../../../src/config/schema.js';
import { commandError, sshError } from '../../../../../../src/sources/remote/transports/esxi-ssh/errors.js';
import { parseVmList } from '../../../../../../src/sources/remote/transports/esxi-ssh/find-vm.js';
import { shellQuote } from '../../../../../../src/sources/remote/transports/esxi-ssh/shell-quote.js';

describe('shellQuote', () => {
  it.each(["it's", '$(id)', '`id`', 'a b', '"', '\\', "''", '!x', '*', '\n', '-n', ''])(
    'hands on %j',
    (word) => {
      expect(execFileSync('sh', ['-c', `printf %s ${shellQuote(word)}`]).toString()).toBe(word);
    },
  );
});

describe('parseVmList', () => {
  it('reads names and files with spaces and brackets, and passes over lines of an annotation', () => {
    const text = [
      'Vmid            Name                          File                       Guest OS      Version   Annotation',
      '1      web01                [datastore1] web01/web01.vmx              ubuntu64Guest   vmx-19              ',
      '12     data [old] base      [ds 2] data base/data base.vmx            otherGuest      vmx-13    First line',
      'and a second one with [datastore1] x/x.vmx in it',
      '',
      '40     Skipping the invalid VM',
    ].join('\n');
    expect(parseVmList(text)).toEqual([
      { id: '1', name: 'web01', path: '/vmfs/volumes/datastore1/web01/web01.vmx' },
      { id: '12', name: 'data [old] base', path: '/vmfs/volumes/ds 2/data base/data base.vmx' },
    ]);
  });

  it('takes no long time for a hostile line', () => {
    const started = performance.now();
    expect(parseVmList(`head\n1 ${'  [a] x'.repeat(200_000)}\n`)).toEqual([]);
    expect(performance.now() - started).toBeLessThan(2000);
  });
});

describe('what ssh and the host say', () => {
  it.each([
    ['ssh: connect to host esx port 22: Connection refused', 'remote.unreachable', true],
    ['ssh: Could not resolve hostname esx: Name or service not known', 'remote.unreachable', true],
    ['ssh: connect to host esx port 22: Connection timed out', 'remote.timeout', true],
    ['root@esx: Permission denied (publickey).', 'remote.auth', false],
    ['Host key verification failed.', 'remote.host-key', false],
    ['client_loop: send disconnect: Broken pipe', 'remote.interrupted', true],
  ])('takes %j for %s', (stderr, code, retryable) => {
    expect(sshError(stderr, 'esx:22')).toMatchObject({ code, retryable });
  });

  it.each([
    ["dd: can't open 'a-flat.vmdk': No such file or directory", 'remote.not-found', false],
    ["dd: can't open 'a-flat.vmdk': Device or resource busy", 'remote.locked', true],
    ["dd: can't open 'a-flat.vmdk': Permission denied", 'remote.permission', false],
    ['dd: read error: Input/output error', 'remote.interrupted', true],
  ])('takes %j of a command for %s', (stderr, code, retryable) => {
    const error = commandError(1, `${stderr}\n0+0 records in\n0+0 records out\n`, 'a-flat.vmdk');
    expect(error).toMatchObject({ code, retryable });
    expect(error.message).toBe(`a-flat.vmdk: ${stderr}`);
  });
});

describe('an esxi-ssh connection', () => {
  const parse = (connection: object) =>
    configSchema.safeParse({
      remote: {
        connections: [
          {
            name: 'esx',
            type: 'esxi-ssh',
            url: 'ssh://esx1.example.com',
            user: 'root',
            secret: 'esx',
            known_hosts: '/etc/hyper2kvm/known_hosts',
            ...connection,
          },
        ],
      },
    }).success;

  it('is a host, a user, a key and a list of host keys', () => {
    expect(parse({})).toBe(true);
    expect(parse({ url: 'ssh://[fd00::1]:2222', user: 'svc@vsphere.local' })).toBe(true);
  });

  it.each([
    { url: 'ssh://-oProxyCommand=id' },
    { url: 'ssh://root@esx1' },
    { url: 'ssh://esx1/path' },
    { url: 'ssh://esx1?x' },
    { url: 'https://esx1' },
    { url: 'ssh://%2doProxyCommand' },
    { user: '-oProxyCommand=id' },
    { user: 'a b' },
    { known_hosts: 'known_hosts' },
    { known_hosts: '/etc/a b' },
    { known_hosts: '/etc/%h' },
    { known_hosts: undefined },
  ])('is refused with %j', (change) => {
    expect(parse(change)).toBe(false);
  });
});
