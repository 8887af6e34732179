import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { run } from '../../../src/tools/run.js';

const SETUP = fileURLToPath(new URL('../../lab/setup.sh', import.meta.url));
/** As the real ones in what set-up relies on, and as talkative. */
const PROGRAMS = {
  id: 'echo 0',
  node: 'echo v20.20.2',
  'dpkg-query': 'case " $MISSING " in *" $4 "*) exit 1 ;; esac; printf installed',
  'apt-get': `seq -f 'apt-get line %g' 1000
case "$*" in
  *update) ;;
  *) printf 'dlstatus:1:40.5:Retrieving\\n' >&3; sleep "$APT_SECONDS"; exit "$APT_CODE" ;;
esac`,
  npm: `[ "$1 $2" = "ci --ignore-scripts" ] || exit 9
mkdir -p node_modules/.bin
touch node_modules/.package-lock.json
printf '#!/bin/sh\\nmkdir -p dist/lab\\ntouch dist/cli.js\\n' >node_modules/.bin/tsc
chmod +x node_modules/.bin/tsc`,
};

let repository: string;
beforeEach(() => {
  repository = mkdtempSync(join(tmpdir(), 'h2k-setup-'));
  const put = (path: string, content: string) => {
    mkdirSync(dirname(join(repository, path)), { recursive: true });
    writeFileSync(join(repository, path), content, { mode: 0o755 });
  };
  for (const [name, script] of Object.entries(PROGRAMS)) put(`bin/${name}`, `#!/bin/sh\n${script}\n`);
  for (const path of ['src/cli.ts', 'package.json', 'package-lock.json', 'tsconfig.json']) put(path, '');
  put('dist/lab/gone.js', '');
  put('src/families/windows/first-boot/build.sh', '');
  mkdirSync(join(repository, 'test/lab'), { recursive: true });
  copyFileSync(SETUP, join(repository, 'test/lab/setup.sh'));
});
afterEach(() => rmSync(repository, { recursive: true }));

async function setUp(
  environment: Record<string, string> = {},
  command = ['sh', 'test/lab/setup.sh'],
): Promise<{ out: string; err: string; code: number }> {
  const { stdout, stderr, code } = await run(command[0]!, command.slice(1), {
    cwd: repository,
    env: {
      PATH: `${join(repository, 'bin')}:/usr/bin:/bin`,
      MISSING: 'lintian mtools',
      APT_SECONDS: '0',
      APT_CODE: '0',
      ...environment,
    },
    okCodes: [0, 1, 2],
  });
  return { out: stdout.toString(), err: stderr, code };
}

describe('the set-up', () => {
  test('says what it will install and how long that takes, then one line for each step; the rest is in the log', async () => {
    const { out, err, code } = await setUp();
    const log = join(repository, 'dist/setup.log');
    expect([code, err]).toEqual([0, '']);
    expect(
      out.replaceAll(/\b\d+ s\b/g, 'N s'),
    ).toBe(`Setting up hyper2kvm: about a minute. These will be installed:
- Debian packages and their dependencies (sh test/lab/setup.sh --list gives the reason for each):
    mtools lintian
- npm packages in node_modules/, including Node 24 (this machine has v20.20.2)
- the program, compiled into dist/
The output of the installers goes to ${log}.
[1/4] Lists of Debian packages ... N s
[2/4] 2 Debian packages and their dependencies ... N s
[3/4] npm packages ... N s
[4/4] Build ... N s
Ready after N s.`);
    expect(readFileSync(log, 'utf8').match(/^apt-get line /gm)).toHaveLength(2000);
    expect(existsSync(join(repository, 'dist/hyper2kvm'))).toBe(true);
  });

  test('says so when there is nothing to do', async () => {
    await setUp();
    expect(await setUp({ MISSING: '' })).toEqual({
      out: 'Everything that hyper2kvm needs is installed.',
      err: '',
      code: 0,
    });
  });

  test('takes away what was compiled of sources that are gone', async () => {
    await setUp();
    expect(existsSync(join(repository, 'dist/lab'))).toBe(false);
    expect(existsSync(join(repository, 'dist/cli.js'))).toBe(true);
  });

  test('shows the end of the log where a step fails, and goes no further', async () => {
    const { out, err, code } = await setUp({ APT_CODE: '100' });
    expect(code).toBe(1);
    expect(out).toMatch(/\[2\/4\] 2 Debian packages .* failed after \d s \(exit code 100\)$/);
    expect(err).toContain(`The end of ${join(repository, 'dist/setup.log')}:\n  apt-get line 986\n`);
    expect(err).toMatch(/ {2}apt-get line 1000$/);
    expect(existsSync(join(repository, 'node_modules'))).toBe(false);
  });

  test('fails where the program does not compile', async () => {
    await setUp();
    writeFileSync(join(repository, 'node_modules/.bin/tsc'), '#!/bin/sh\necho error TS1005; exit 2\n');
    writeFileSync(join(repository, 'src/cli.ts'), '!');
    const { err, code } = await setUp({ MISSING: '' });
    expect([code, err]).toEqual([1, expect.stringContaining('error TS1005')]);
    expect((await setUp({ MISSING: '' })).code).toBe(1);
  });

  test('shows on a terminal how far apt is, in one line', async () => {
    symlinkSync('/usr/bin/script', join(repository, 'bin/script'));
    const { out } = await setUp({ APT_SECONDS: '4' }, [
      'script',
      '--quiet',
      '--return',
      '--command',
      'sh test/lab/setup.sh',
      '/dev/null',
    ]);
    const lines = out.split('\r\n');
    const counted = lines.find((line) => line.includes('[2/4]'))!.split('\r\u001b[K');
    // Which second shows which part depends on how busy the machine is.
    const bar = /^\[2\/4\] 2 Debian packages and their dependencies \.\.\. \d s {2}\[#+\.*\] +\d+ % \w+$/;
    expect(counted.filter((text) => bar.test(text))).not.toEqual([]);
    expect(counted.at(-1)).toMatch(/^\[2\/4\] 2 Debian packages and their dependencies \.\.\. \d+ s$/);
    expect(lines.at(-1)).toMatch(/^Ready after \d+ s\.$/);
  });
});
