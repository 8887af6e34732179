import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createProgram } from '../../../src/commands/main.js';
import { cli, recordingIo } from './support.js';

let directory: string;
let config: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'h2k-cli-'));
  config = join(directory, 'config.toml');
  await writeFile(config, `[control]\nsocket = ${JSON.stringify(join(directory, 'none.sock'))}\n`);
});
afterAll(() => rm(directory, { recursive: true, force: true }));

/** Of all depths: `config`, `config check`. */
function commandsOf(program: Command, prefix = ''): string[] {
  return program.commands.flatMap((command) => {
    const name = prefix + command.name();
    return [name, ...commandsOf(command, `${name} `)];
  });
}

const COMMANDS = commandsOf(createProgram(recordingIo().io));

describe('help', () => {
  test.each(COMMANDS)('of %s has an example and the common options, and ends with 0', async (command) => {
    const { code, out, err } = await cli([...command.split(' '), '--help']);
    expect(code).toBe(0);
    expect(err).toBe('');
    expect(out).toContain(`Usage: hyper2kvm ${command}`);
    expect(out).toMatch(/Examples?:\n {2}\$ /);
    expect(out).toContain('--config <file>');
    expect(out).toContain('--json');
  });

  test.each([[['--help']], [['list', '--help']], [['convert', '--help']]])(
    '%j fits 80 columns',
    async (args) => {
      const { out } = await cli(args);
      expect(Math.max(...out.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
    },
  );

  test('lists every command', async () => {
    expect(COMMANDS).toEqual(expect.arrayContaining(['convert', 'metrics', 'config check']));
    const { out } = await cli(['--help']);
    for (const command of COMMANDS) expect(out).toMatch(new RegExp(`^ {2}${command.split(' ')[0]}\\b`, 'm'));
  });
});

describe('wrong usage ends with 2 and says what is right', () => {
  const wrong: Record<string, string[]> = {
    'no command': [],
    'an unknown command': ['lst'],
    'an unknown option': ['list', '--bad'],
    'an unknown state': ['list', '--state', 'sleeping'],
    'a time that is none': ['list', '--since', 'yesterday-ish'],
    'a missing argument': ['show'],
    'too many arguments': ['status', 'x'],
    'a missing -o': ['convert', '/dev/null'],
    'a stage that is none': ['retry', 'web01', '--from', 'lunch'],
    'a setting without value': ['retry', 'web01', '--set', 'fix.initramfs'],
    'a priority that is no number': ['priority', 'web01', 'high'],
    'a missing disk': ['inspect', '/nonexistent/web01.vmdk'],
    'a missing configuration': ['status', '--config', '/nonexistent.toml'],
  };
  test.each(Object.keys(wrong))('%s', async (name) => {
    const { code, out, err } = await cli(wrong[name]!);
    expect(code).toBe(2);
    expect(out).toBe('');
    expect(err).toMatch(
      name === 'no command' ? /^Usage: hyper2kvm/ : /^hyper2kvm: (usage|config)\.[a-z-]+: .+\n {2}.+\n$/,
    );
  });

  test('suggests the command that was meant', async () => {
    expect((await cli(['lst'])).err).toContain('Did you mean list?');
  });

  test('an option of this disk that does not exist', async () => {
    const disk = join(directory, 'x.raw');
    await writeFile(disk, 'x');
    const { code, err } = await cli(['plan', disk, '--config', config, '--set', 'fix.initramf=rebuild']);
    expect(code).toBe(2);
    expect(err).toContain('did you mean fix.initramfs?');
  });

  test('--json gives the error record on stdout', async () => {
    const { code, out, err } = await cli(['list', '--bad', '--json']);
    expect(code).toBe(2);
    expect(err).toBe('');
    expect(JSON.parse(out)).toMatchObject({
      error: { code: 'usage.invalid', message: "unknown option '--bad'" },
    });
  });
});

describe('without a daemon', () => {
  const asking = [
    ['status'],
    ['list'],
    ['show', 'x'],
    ['logs', 'x'],
    ['retry', 'x'],
    ['cancel', 'x'],
    ['pause'],
    ['resume'],
    ['drain'],
    ['priority', 'x', '1'],
    ['priority', 'x', '--', '-1'],
  ];
  test.each(asking)('%s ends with 1 and says how to start it', async (...args) => {
    const { code, err } = await cli(['--config', config, ...args]);
    expect(code).toBe(1);
    expect(err).toMatch(/^hyper2kvm: api\.unreachable: no daemon answers on .*none\.sock\n {2}Start it/);
  });

  test('a broken configuration is warned of, and does not keep anybody from asking', async () => {
    const file = join(directory, 'broken.toml');
    await writeFile(file, `[control]\nsocket = ${JSON.stringify(join(directory, 'none.sock'))}\n[workers\n`);
    const { code, err } = await cli(['status', '--config', file]);
    expect(code).toBe(1);
    expect(err).toMatch(
      /^warning: config\.syntax: .*broken\.toml:3:.*; asking the daemon on .*none\.sock\nhyper2kvm: api\.unreachable/,
    );
  });

  test('--config may stand before or after the command', async () => {
    expect((await cli(['--config', config, 'status'])).err).toBe(
      (await cli(['status', '--config', config])).err,
    );
  });
});

describe('config', () => {
  test('check names line, column, key and the nearest known key of every problem, and ends with 1', async () => {
    const file = join(directory, 'wrong.toml');
    await writeFile(file, '[watch]\nsetle_seconds = 3\n[workers]\njobs = 0\n');
    const { code, out } = await cli(['config', 'check', file]);
    expect(code).toBe(1);
    expect(out).toContain(
      `${file}:2:1: watch.setle_seconds is not an option; did you mean watch.settle_seconds?`,
    );
    expect(out).toContain(`${file}:4:1: workers.jobs is not valid`);
    const json = JSON.parse((await cli(['config', 'check', file, '--json'])).out);
    expect(json).toMatchObject({ valid: false, problems: [{ line: 2, column: 1 }, { line: 4 }] });
  });

  test('check of a right file ends with 0', async () => {
    expect(await cli(['config', 'check', config])).toMatchObject({ code: 0, out: `${config}: right\n` });
  });

  test('show says where each value came from', async () => {
    const { out } = await cli(['config', 'show', '--config', config], {
      env: { HYPER2KVM_WORKERS_JOBS: '3' },
    });
    expect(out).toMatch(/^socket = ".*none\.sock" +# .*config\.toml:2:1$/m);
    expect(out).toMatch(/^jobs = 3 +# HYPER2KVM_WORKERS_JOBS$/m);
    expect(out).toMatch(/^boots = 1 +# default$/m);
  });

  test('schema is a JSON schema that knows the options', async () => {
    const schema = JSON.parse((await cli(['config', 'schema'])).out);
    expect(schema.properties.watch.properties.settle_seconds).toMatchObject({ type: 'number', default: 10 });
  });
});

describe('colours', () => {
  const wrong = ['list', '--bad'];
  test('on a terminal', async () => {
    expect((await cli(wrong, { terminal: true })).err).toContain('\u001b[');
  });
  test.each([{ NO_COLOR: '1' }, { TERM: 'dumb' }])('not with %j', async (env) => {
    expect((await cli(wrong, { terminal: true, env })).err).not.toContain('\u001b[');
  });
  test('not into a pipe', async () => {
    expect((await cli(wrong)).err).not.toContain('\u001b[');
  });
});

test('a hostile file name does not reach the terminal as it is', async () => {
  const { code, err } = await cli(['inspect', '/nonexistent/\u001b[2Jweb\u202e01.vmdk']);
  expect(code).toBe(2);
  expect(err).toContain('\\x1b[2Jweb\\u202e01.vmdk');
  expect(err).not.toMatch(/\u001b|\u202e/);
});
