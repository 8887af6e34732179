import { mkdir, mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { formatBytes } from '../text/format.js';
import { run } from '../tools/run.js';
import { makePackageTree } from './tree.js';

/**
 * `npm run package:deb [-- DIRECTORY]` builds the Debian package, by default in dist/packages. The same
 * commit, Node and node_modules give the same bytes: the time of all files is $SOURCE_DATE_EPOCH or the last
 * commit's, owners are root, modes are fixed.
 */
const repository = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
const directory = resolve(process.argv[2] ?? join(repository, 'dist/packages'));
const scratch = await mkdtemp(join(tmpdir(), 'h2k-deb-'));
try {
  const root = join(scratch, 'root');
  const facts = await makePackageTree(repository, root);
  await mkdir(directory, { recursive: true });
  const file = join(directory, `hyper2kvm_${facts.version}_amd64.deb`);
  // One thread, because with several the compressor splits the stream at unpredictable places.
  await run('dpkg-deb', ['--root-owner-group', '--threads-max=1', '-Zxz', '-z1', '--build', root, file], {
    env: { SOURCE_DATE_EPOCH: String(facts.epoch) },
  });
  process.stdout.write(`${file}  ${formatBytes((await stat(file)).size)}\n`);
} finally {
  await rm(scratch, { recursive: true, force: true });
}
