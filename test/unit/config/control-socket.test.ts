import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { controlSocket } from '../../../src/config/control-socket.js';
import { scratchDirectory } from '../queue/scratch.js';

function socketOf(text: string, env: Record<string, string> = {}) {
  const file = join(scratchDirectory(), 'config.toml');
  writeFileSync(file, text);
  const { path, problem } = controlSocket({ file, env });
  return [path, problem?.code ?? null];
}

const DEFAULT = '/run/hyper2kvm/control.sock';

describe('the control socket of a configuration', () => {
  it.each([
    ['a valid one', '[control]\nsocket = "/a"\n', '/a', null],
    ['one without it', '[workers]\njobs = 2\n', DEFAULT, null],
    [
      'one with an unknown key',
      '[workers]\njbos = 2\n[control]\nsocket = "/a"\n',
      '/a',
      'config.unknown-key',
    ],
    ['one with a wrong value', 'control.socket = "/a"\n[workers]\njobs = 0\n', '/a', 'config.invalid-value'],
    [
      'one that is no TOML behind it',
      '[control]\nsocket = "/a"\n[workers]\njobs = \n',
      '/a',
      'config.syntax',
    ],
    ['one that is no TOML before it', 'x x\n[control] # here\n# and\nsocket = "/a"', '/a', 'config.syntax'],
    ['one that is no TOML in it', '[control]\nsocket = "/a\n', DEFAULT, 'config.syntax'],
    ['one that gives it no name', '[control]\nsocket = 3\n', DEFAULT, 'config.invalid-value'],
    ['one with nothing in the table', '[control]\n[workers\nsocket = "/b"\n', DEFAULT, 'config.syntax'],
  ])('%s', (_name, text, path, code) => {
    expect(socketOf(text)).toEqual([path, code]);
  });

  it('is what the environment says, whatever is in the file', () => {
    expect(socketOf('x x', { HYPER2KVM_CONTROL_SOCKET: '/e' })).toEqual(['/e', 'config.syntax']);
  });

  it('is found beside a variable that is wrong', () => {
    const env = { HYPER2KVM_WORKERS_JOBS: 'many' };
    expect(socketOf('[control]\nsocket = "/a"\n', env)).toEqual(['/a', 'config.invalid-value']);
  });

  it('is not guessed where the file that was asked for is not there', () => {
    expect(() => controlSocket({ file: '/nonexistent.toml', env: {} })).toThrow(/does not exist/);
  });
});
