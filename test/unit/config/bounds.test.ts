import { describe, expect, it } from 'vitest';
import { jobOptions } from '../../../src/config/load.js';
import { optionTable } from '../../../src/config/option-table.js';
import { configSchema } from '../../../src/config/schema.js';

const config = configSchema.parse({});
const luks = (key_file: string) =>
  `[[guest.luks]]\ndevice = "/dev/sda3"\nkey_file = ${JSON.stringify(key_file)}\n`;

describe('what a dropper may set', () => {
  it('is declared for each option, the operator’s where nothing is said', () => {
    const setBy = new Map(optionTable().map(({ key, setBy }) => [key, setBy]));
    expect(setBy.get('spool.incoming')).toBe('operator');
    expect(setBy.get('pipeline.hooks')).toBe('operator');
    expect(setBy.get('validate.max_memory_mib')).toBe('operator');
    expect(setBy.get('convert.compression')).toBe('dropper');
    for (const option of optionTable())
      if (option.setBy === 'dropper') expect(option.perJob, option.key).toBe(true);
  });

  it.each([
    [
      '[validate]\nmemory_mib = 65536\n',
      /job\.toml:2:1: validate\.memory_mib is not valid: .*at most 4096.*validate\.max_memory_mib/,
    ],
    ['[validate]\nsmp = 5\n', /at most 4; .*validate\.max_smp/],
    ['[validate]\ntimeout_seconds = 7200\n', /at most 1800/],
    ['[convert]\npreallocation = "full"\n', /preallocation is not valid: full writes/],
    ['[convert]\nsparse = false\n', /convert\.sparse cannot be set in a job\.toml, only by an operator/],
    [luks('/dev/zero'), /guest\.luks is not valid: .*own drop/],
    [luks('../root.key'), /own drop/],
    [luks('a/../../root.key'), /own drop/],
    [luks('a.key').repeat(17), /at most 16 keys/],
  ])('refuses by name: %j', (toml, message) => {
    expect(() => jobOptions(config, toml)).toThrow(message);
  });

  it('is not beyond what the daemon does by itself, nor beyond a bound that was raised', () => {
    const toml = '[validate]\nmemory_mib = 8192\n';
    for (const validate of [{ memory_mib: 8192 }, { max_memory_mib: 8192 }])
      expect(jobOptions(configSchema.parse({ validate }), toml).config.validate.memory_mib).toBe(8192);
  });

  it('binds no operator: retry --set goes beyond it', () => {
    const overrides = { 'validate.memory_mib': '65536', 'convert.sparse': 'false' };
    const { validate, convert } = jobOptions(config, null, { overrides }).config;
    expect([validate.memory_mib, convert.sparse]).toEqual([65_536, false]);
  });

  it('counts no more where an operator set something else instead', () => {
    const toml = '[convert]\nformat = "floppy"\n[validate]\nsmp = 32\n';
    expect(() => jobOptions(config, toml, { overrides: { 'convert.format': 'raw' } })).toThrow('at most 4');
    const overrides = { 'convert.format': 'raw', 'validate.smp': '2' };
    expect(jobOptions(config, toml, { overrides }).config.convert.format).toBe('raw');
  });

  it('leaves the operator’s absolute key files alone', () => {
    const own = configSchema.parse({ guest: { luks: [{ device: '/dev/sda3', key_file: '/etc/keys/a' }] } });
    expect(jobOptions(own, 'kind = "data"\n').config.guest.luks).toHaveLength(1);
  });
});

describe('a job.toml that is made to cost', () => {
  it.each([
    ['9,000 unknown keys', Array.from({ length: 9000 }, (_, i) => `k${i}=1\n`).join('')],
    ['9,000 known tables with unknown keys', Array.from({ length: 5000 }, (_, i) => `vm.k${i}=1\n`).join('')],
    ['one long key', `${'validate'.repeat(7_500)} = 1\n`],
    ['a key of 30,000 parts', `${'a.'.repeat(30_000)}b = 1\n`],
    ['brackets', `x = ${'['.repeat(60_000)}\n`],
    ['many wrong values', `[guest]\nluks = [${'1,'.repeat(20_000)}]\n`],
  ])('%s: refused in a moment, with at most twenty lines', (_what, toml) => {
    const started = process.cpuUsage();
    let message = '';
    try {
      jobOptions(config, toml);
    } catch (error) {
      message = String(error);
    }
    expect(message).not.toBe('');
    expect(message.split('\n').length).toBeLessThanOrEqual(20);
    // Of processor time: other work on the machine does not count.
    const { user, system } = process.cpuUsage(started);
    expect((user + system) / 1000).toBeLessThan(3000);
  });
});
