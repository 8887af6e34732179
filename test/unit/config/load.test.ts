import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { problemText } from '../../../src/config/check.js';
import { checkConfig, configJsonSchema, loadConfig } from '../../../src/config/load.js';
import { renamedText } from '../../../src/config/renamed.js';
import { configSchema } from '../../../src/config/schema.js';
import { Hyper2kvmError } from '../../../src/errors/error.js';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'h2k-config-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

function written(text: string): string {
  const file = join(directory, 'config.toml');
  writeFileSync(file, text);
  return file;
}

function codeOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof Hyper2kvmError) return error.code;
    throw error;
  }
  return 'no error';
}

describe('loadConfig', () => {
  it('lets flags win over variables over the file over defaults, and remembers where each value came from', () => {
    const file = written('[workers]\njobs = 3\nboots = 3\nconversions = 3\n');
    const { config, origins } = loadConfig({
      file,
      env: { HYPER2KVM_WORKERS_JOBS: '4', HYPER2KVM_WORKERS_BOOTS: '4' },
      flags: { 'workers.jobs': '5' },
    });
    expect(config.workers).toMatchObject({ jobs: 5, boots: 4, conversions: 3, appliances: 1 });
    expect(origins['workers.jobs']).toEqual({ source: 'flag', where: '--set workers.jobs' });
    expect(origins['workers.boots']).toEqual({ source: 'environment', where: 'HYPER2KVM_WORKERS_BOOTS' });
    expect(origins['workers.conversions']).toEqual({ source: 'file', where: `${file}:4:1` });
    expect(origins['workers.appliances']).toEqual({ source: 'default', where: '' });
  });

  it('reads booleans and numbers from variables, and refuses what is neither', () => {
    const { config } = loadConfig({
      env: { HYPER2KVM_WATCH_POLLING: 'true', HYPER2KVM_WATCH_SETTLE_SECONDS: '0.5' },
    });
    expect(config.watch).toMatchObject({ polling: true, settle_seconds: 0.5 });
    expect(codeOf(() => loadConfig({ env: { HYPER2KVM_WORKERS_JOBS: 'many' } }))).toBe(
      'config.invalid-value',
    );
    expect(codeOf(() => loadConfig({ env: { HYPER2KVM_WATCH_POLLING: 'yes' } }))).toBe(
      'config.invalid-value',
    );
  });

  it('places a wrong element of an overridden list where it was given, not where the file had another', () => {
    const file = written('[validate]\nrequire = ["mounts", "units"]\n');
    expect(() => loadConfig({ file, env: { HYPER2KVM_VALIDATE_REQUIRE: 'mounts,luck' } })).toThrow(
      /^HYPER2KVM_VALIDATE_REQUIRE: validate\.require\.1 is not valid/,
    );
  });

  it('names a mistyped variable of a known table and leaves foreign ones alone', () => {
    expect(() => loadConfig({ env: { HYPER2KVM_WATCH_POLING: 'true' } })).toThrow(
      /HYPER2KVM_WATCH_POLLING\?/,
    );
    expect(loadConfig({ env: { HYPER2KVM_TEST_CACHE: '/x' } }).config).toEqual(configSchema.parse({}));
  });

  it('falls back to the defaults only when no file was asked for', () => {
    expect(codeOf(() => loadConfig({ file: join(directory, 'none.toml'), env: {} }))).toBe('config.missing');
  });
});

const problemsIn = (text: string) => checkConfig(text, '/etc/x.toml').problems;

describe('checkConfig', () => {
  it('names file, line, column, key and the nearest known key', () => {
    const [found, ...rest] = problemsIn('[watch]\n\n  setle_seconds = 3\n');
    expect(rest).toEqual([]);
    expect(found).toMatchObject({
      line: 3,
      column: 3,
      key: 'watch.setle_seconds',
      kind: 'unknown-key',
      suggestion: 'watch.settle_seconds',
    });
    expect(problemText(found!)).toBe(
      '/etc/x.toml:3:3: watch.setle_seconds is not an option; did you mean watch.settle_seconds?',
    );
  });

  it('finds the right table for a right name, and a mistyped table', () => {
    expect(problemsIn('[spool]\nsettle_seconds = 3\n')[0]?.suggestion).toBe('watch.settle_seconds');
    expect(problemsIn('[wacth]\nsettle_seconds = 3\n')[0]?.suggestion).toBe('watch');
  });

  it('gives every problem at once, and none for a right file', () => {
    const problems = problemsIn('[workers]\njobs = 0\nbots = 1\n[convert]\nformat = "vmdx"\n');
    expect(problems.map(({ key, kind, line }) => [key, kind, line])).toEqual([
      ['workers.jobs', 'invalid-value', 2],
      ['workers.bots', 'unknown-key', 3],
      ['convert.format', 'invalid-value', 5],
    ]);
    expect(problemsIn('[convert]\nformat = "raw"\n')).toEqual([]);
  });

  it('places a missing key where its table is, and a wrong element where it stands', () => {
    const text = '[[guest.luks]]\ndevice = "/dev/sda3"\n[validate]\nrequire = [\n  "mounts",\n  "luck",\n]\n';
    expect(checkConfig(text, 'f').problems.map(({ key, where }) => [key, where])).toEqual([
      ['guest.luks.0.key_file', 'f:1:3'],
      ['validate.require.1', 'f:6:3'],
    ]);
  });

  it('places a syntax error', () => {
    expect(problemsIn('[watch]\nx = \n')[0]).toMatchObject({ kind: 'syntax', line: 2 });
  });
});

describe('a key under its old name', () => {
  const old = '[workers]\njobs = 1\n[source]\nkeep = "delete"\n';

  it('counts, and is named with its place', () => {
    const file = written(old);
    const loaded = loadConfig({ file, env: {} });
    expect(loaded.config.archive.source).toBe('delete');
    expect(loaded.origins['archive.source']).toEqual({ source: 'file', where: `${file}:4:1` });
    expect(loaded.renamed).toEqual([{ where: `${file}:4:1`, from: 'source.keep', to: 'archive.source' }]);
    expect(renamedText(loaded.renamed[0]!)).toContain('source.keep was renamed to archive.source');
    expect(checkConfig(old, 'x')).toMatchObject({ problems: [], renamed: [{ from: 'source.keep' }] });
  });

  it('is read from variables and flags, too', () => {
    const { config, renamed } = loadConfig({
      env: { HYPER2KVM_SOURCE_KEEP: 'leave' },
      flags: { 'source.keep': 'delete' },
    });
    expect(config.archive.source).toBe('delete');
    expect(renamed.map(({ where, to }) => [where, to])).toEqual([
      ['HYPER2KVM_SOURCE_KEEP', 'HYPER2KVM_ARCHIVE_SOURCE'],
      ['--set source.keep', 'archive.source'],
    ]);
    expect(loadConfig({ env: {} }).renamed).toEqual([]);
  });

  it('is refused where the new name is set as well, and its value is checked as ever', () => {
    const both = problemsIn('[source]\nkeep = "delete"\n[archive]\nsource = "archive"\n');
    expect(both).toMatchObject([{ key: 'source', kind: 'unknown-key' }]);
    expect(problemsIn('[source]\nkeep = "x"\n')).toMatchObject([
      { key: 'archive.source', kind: 'invalid-value', line: 2 },
    ]);
  });

  it('what is reserved for remote sources is no typing mistake', () => {
    expect(problemsIn('[source]\ntype = "http"\n').map(problemText)).toEqual([
      '/etc/x.toml:1:2: source says where one VM is fetched from: it belongs into a job.toml',
    ]);
  });
});

describe('configJsonSchema', () => {
  it('describes options and requires none', () => {
    expect(configJsonSchema()).toMatchObject({
      properties: { watch: { properties: { settle_seconds: { default: 10, type: 'number' } } } },
    });
    interface Schema {
      required?: string[];
      properties?: Record<string, Schema>;
    }
    // The entries of lists are not options: they are whole or wrong.
    const required = ({ required: own = [], properties = {} }: Schema): string[] => [
      ...own,
      ...Object.values(properties).flatMap(required),
    ];
    expect(required(configJsonSchema() as Schema)).toEqual([]);
  });
});
