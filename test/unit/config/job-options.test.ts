import { describe, expect, it } from 'vitest';
import { jobOptions } from '../../../src/config/load.js';
import type { RenamedKey } from '../../../src/config/renamed.js';
import { configSchema } from '../../../src/config/schema.js';

const config = configSchema.parse({ convert: { compression: 'zstd' }, fix: { network: 'dhcp' } });

describe('jobOptions', () => {
  it('is the configuration when there is no job.toml', () => {
    expect(jobOptions(config, null)).toEqual({
      ...{ kind: 'vm', warm: false, vm: {}, source: { type: 'local' }, config },
    });
  });

  it('takes a base that is dropped before its VM is off, and none that is fetched', () => {
    expect(jobOptions(config, 'warm = true\n').warm).toBe(true);
    expect(() => jobOptions(config, 'warm = "yes"\n')).toThrow(/warm/);
    const connections = [{ name: 'images', type: 'http', url: 'https://images.example.com' }];
    const remote = configSchema.parse({ remote: { connections } });
    const text = 'warm = true\n[source]\nconnection = "images"\nvm = "web01.ova"\n';
    expect(() => jobOptions(remote, text, { file: 'a.job.toml' })).toThrow(
      /a\.job\.toml:1:1: warm is not valid: it is for a base/,
    );
  });

  it('puts the job.toml over the configuration, and the overrides over both', () => {
    const text =
      'kind = "data"\n[vm]\nname = "web01"\nmemory = 2048\n[convert]\nformat = "raw"\n[fix]\nnetwork = "keep"\n';
    const overrides = {
      'fix.initramfs': 'rebuild',
      'convert.format': 'qcow2',
      'validate.enabled': 'false',
      'vm.vcpus': '4',
      'validate.require': 'mounts, network',
    };
    const options = jobOptions(config, text, { overrides });
    expect(options.kind).toBe('data');
    expect(options.vm).toEqual({ name: 'web01', memory: 2048, vcpus: 4 });
    expect(options.config.convert).toMatchObject({ format: 'qcow2', compression: 'zstd' });
    expect(options.config.fix).toMatchObject({ network: 'keep', initramfs: 'rebuild' });
    expect(options.config.validate).toMatchObject({ enabled: false, require: ['mounts', 'network'] });
    expect(
      jobOptions(options.config, null, { overrides: { 'validate.require': '' } }).config.validate.require,
    ).toEqual([]);
  });

  it('refuses an unknown key with its place and the nearest one', () => {
    expect(() => jobOptions(config, '[fix]\ninitrams = "append"\n', { file: 'web01.job.toml' })).toThrow(
      'web01.job.toml:2:1: fix.initrams is not an option; did you mean fix.initramfs?',
    );
  });

  it('says that an option of the daemon cannot be set for one VM', () => {
    expect(() => jobOptions(config, '[workers]\njobs = 2\n')).toThrow(/workers cannot be set for one VM/);
    expect(() => jobOptions(config, '[validate]\naccelerator = "kvm"\n')).toThrow(
      /validate\.accelerator cannot be set for one VM/,
    );
  });

  it('takes a key under its old name from a job.toml and from overrides, and tells', () => {
    const told: RenamedKey[] = [];
    const settings = { file: 'a.job.toml', renamed: (key: RenamedKey) => void told.push(key) };
    const text = '[source]\nkeep = "delete"\n';
    expect(jobOptions(config, text, settings).config.archive.source).toBe('delete');
    const overrides = { 'source.keep': 'leave' };
    expect(jobOptions(config, text, { ...settings, overrides }).config.archive.source).toBe('leave');
    expect(told.map(({ where, to }) => `${where} ${to}`)).toEqual([
      'a.job.toml:2:1 archive.source',
      '--set source.keep archive.source',
      'a.job.toml:2:1 archive.source',
    ]);
  });

  it('refuses a name that could leave its directory, and an override of an unknown key', () => {
    expect(() => jobOptions(config, '[vm]\nname = "../x"\n')).toThrow(/vm\.name is not valid/);
    expect(() => jobOptions(config, null, { overrides: { 'fix.initrams': 'x' } })).toThrow(
      /--set fix\.initrams is|fix\.initrams is not an option/,
    );
  });
});
