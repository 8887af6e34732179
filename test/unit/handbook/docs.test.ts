import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { optionTable } from '../../../src/config/option-table.js';
import { CATALOGUE, type CatalogueSection } from '../../../src/errors/catalogue.js';
import {
  bootFailuresSection,
  changesSection,
  configurationSection,
  errorsSection,
  remediesSection,
  vmSection,
  withSection,
} from '../../../src/handbook/docs.js';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const docs = (name: string) => join(root, 'docs', name);

describe('the generated parts of docs/ are current (UPDATE_DOCS=1 rewrites them)', () => {
  const pages: Record<string, [string, () => string][]> = {
    'configuration.md': [
      ['vm', vmSection],
      ['options', configurationSection],
    ],
    'changes.md': [['fixers', changesSection]],
    'failures.md': [
      ['boot failures', bootFailuresSection],
      ['remedies', remediesSection],
      ...(Object.keys(CATALOGUE) as CatalogueSection[]).map((section): [string, () => string] => [
        `errors ${section}`,
        () => errorsSection(section),
      ]),
    ],
  };
  test.each(Object.keys(pages))('%s', (name) => {
    const page = readFileSync(docs(name), 'utf8');
    const current = pages[name]!.reduce((text, [section, make]) => withSection(text, section, make()), page);
    if (process.env.UPDATE_DOCS === '1') writeFileSync(docs(name), current);
    else expect(page).toBe(current);
  });

  test('a page without the marks is an error, not a page without the section', () => {
    expect(() => withSection('# x\n', 'options', 'y')).toThrow('no generated section options');
  });
});

/** Quoted words in the sources that have a code's form and a code's first part. */
function codesInSource(): Set<string> {
  const parts =
    'api|boot|cloud|config|convert|crypttab|daemon|devices|drivers|extra|fetch|fix|flatten|fstab|guest|guest-agent|hook|host|initramfs|inspect|internal|job|job-options|live|lvm|mdadm|network|notify|plan|qemu|qmp|queue|remote|report|source|spool|tool|units|usage|validate|windows';
  const options = new Set(optionTable().flatMap(({ key, formerly }) => [key, formerly]));
  const files = /\.(json|diff|html|log|png|toml|fd|db|sock|img|part|copying|raw|d)$/;
  const codes = new Set<string>();
  for (const file of readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })) {
    // Where they are used, not where they are listed.
    if (!file.endsWith('.ts') || file === 'errors/catalogue.ts') continue;
    const text = readFileSync(join(root, 'src', file), 'utf8');
    for (const [, code] of text.matchAll(new RegExp(`'((?:${parts})\\.[a-z][a-z-]+)'`, 'g'))) {
      if (code !== undefined && !options.has(code) && !files.test(code)) codes.add(code);
    }
  }
  return codes;
}

describe('docs/failures.md', () => {
  const documented = new Set(
    [...readFileSync(docs('failures.md'), 'utf8').matchAll(/`([a-z-]+\.[a-z][a-z-]+)`/g)].map(
      ([, code]) => code!,
    ),
  );

  test('has every error and warning code of the sources', () => {
    const missing = [...codesInSource()].filter((code) => !documented.has(code));
    expect(missing).toEqual([]);
  });

  test('finds the codes at all', () => {
    expect(codesInSource()).toContain('fetch.truncated');
    expect(codesInSource().size).toBeGreaterThan(80);
  });

  test('has no code that the sources cannot give', () => {
    // Put together from a part and a word, where the scan cannot see them: tool.*, host.*, config.*,
    // job-options.*, and validate.<signature>.
    const composed = /^(tool|host|config|job-options|validate)\./;
    const source = codesInSource();
    const names = [...documented].filter(
      (code) => /^[a-z-]+\.[a-z-]+$/.test(code) && !/\.(json|html|log|toml)$/.test(code),
    );
    expect(names.filter((code) => !source.has(code) && !composed.test(code) && !isOption(code))).toEqual([]);
  });
});

function isOption(key: string): boolean {
  return key.startsWith('vm.') || optionTable().some((option) => option.key === key);
}
