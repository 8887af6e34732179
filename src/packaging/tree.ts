import { createHash } from 'node:crypto';
import { chmod, copyFile, cp, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { gzipSync } from 'node:zlib';
import { bashCompletion, zshCompletion } from '../handbook/completion.js';
import { manualPage } from '../handbook/man.js';
import { controlFile } from './control.js';
import { type PackageFacts, packageFacts } from './facts.js';
import { copyModule, productionModules } from './modules.js';

const LIB = 'usr/lib/hyper2kvm';
const DOC = 'usr/share/doc/hyper2kvm';
const BASH_COMPLETION = 'usr/share/bash-completion/completions/hyper2kvm';
/** Parts of dist/ that only the repository uses. */
const NOT_SHIPPED = ['packaging', 'packages', 'hyper2kvm', '.built'];
const NATIVE = /\.node$/;
const MAINTAINER_SCRIPTS = ['postinst', 'prerm', 'postrm'] as const;
const EXECUTABLES = new Set([
  'usr/bin/hyper2kvm',
  `${LIB}/node`,
  ...MAINTAINER_SCRIPTS.map((name) => `DEBIAN/${name}`),
]);

/** Everything of the package under `root`, as dpkg-deb(1) takes it. dist/ must be built. */
export async function makePackageTree(repository: string, root: string): Promise<PackageFacts> {
  const lib = join(root, LIB);
  await copyProgram(repository, lib);
  const facts = await packageFacts(
    repository,
    (await filesBelow(lib)).filter((file) => NATIVE.test(file) || file === join(lib, 'node')),
  );
  await copyServiceFiles(repository, root);
  await writeDocuments(repository, root, facts);
  await writeDebianDirectory(repository, root, facts);
  await setModes(root);
  return facts;
}

async function copyProgram(repository: string, lib: string): Promise<void> {
  await mkdir(lib, { recursive: true });
  await copyFile(process.execPath, join(lib, 'node'));
  await copyFile(join(repository, 'package.json'), join(lib, 'package.json'));
  const skipped = NOT_SHIPPED.map((name) => join(repository, 'dist', name));
  await cp(join(repository, 'dist'), join(lib, 'dist'), {
    recursive: true,
    filter: (source) => !skipped.includes(source) && !/\.(d\.ts|map)$/.test(source),
  });
  for (const path of await productionModules(repository)) await copyModule(repository, path, lib);
  await put(dirname(dirname(dirname(lib))), {
    'usr/bin/hyper2kvm': `#!/bin/sh\nexec /${LIB}/node /${LIB}/dist/cli.js "$@"\n`,
  });
}

async function copyServiceFiles(repository: string, root: string): Promise<void> {
  const copies: readonly [string, string][] = [
    ['systemd/hyper2kvm.service', 'lib/systemd/system/hyper2kvm.service'],
    ['systemd/hyper2kvm.slice', 'lib/systemd/system/hyper2kvm.slice'],
    ['systemd/hyper2kvm.sysusers.conf', 'usr/lib/sysusers.d/hyper2kvm.conf'],
    ['systemd/hyper2kvm.tmpfiles.conf', 'usr/lib/tmpfiles.d/hyper2kvm.conf'],
    ['config/hyper2kvm.toml', 'etc/hyper2kvm/config.toml'],
  ];
  for (const [source, target] of copies) {
    await mkdir(dirname(join(root, target)), { recursive: true });
    await copyFile(join(repository, source), join(root, target));
  }
}

async function writeDocuments(repository: string, root: string, facts: PackageFacts): Promise<void> {
  const day = new Date(facts.epoch * 1000);
  // gzip(1) -n: without a time.
  const packed = (text: string) => gzipSync(text, { level: 9 });
  await put(root, {
    [BASH_COMPLETION]: bashCompletion(),
    'usr/share/zsh/vendor-completions/_hyper2kvm': zshCompletion(`/${BASH_COMPLETION}`),
    'usr/share/man/man1/hyper2kvm.1.gz': packed(manualPage(facts.version, day.toISOString().slice(0, 10))),
    [`${DOC}/changelog.gz`]: packed(changelog(facts.version, day)),
    [`${DOC}/copyright`]: await copyright(repository, facts.nodeVersion),
  });
  for (const name of await readdir(join(repository, 'docs'))) {
    await put(root, { [`${DOC}/${name}`]: await readFile(join(repository, 'docs', name)) });
  }
}

/** deb-changelog(5). */
function changelog(version: string, day: Date): string {
  const date = day.toUTCString().replace('GMT', '+0000');
  return `hyper2kvm (${version}) stable; urgency=medium\n\n  * Version ${version}, built from the repository.\n\n -- hyper2kvm maintainers <hyper2kvm@packages.invalid>  ${date}\n`;
}

async function copyright(repository: string, nodeVersion: string): Promise<string> {
  const licence = (await readFile(join(repository, 'LICENSE'), 'utf8')).trimEnd();
  const body = licence.split('\n').map((line) => (line.trim() === '' ? ' .' : ` ${line}`));
  return `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
Copyright: the hyper2kvm authors
License: Apache-2.0

Files: ${LIB}/node
Copyright: Node.js contributors and others
License: MIT-and-others
 Node.js ${nodeVersion}, unchanged. Its licence and those of the libraries in it:
 https://github.com/nodejs/node/blob/v${nodeVersion}/LICENSE

Files: ${LIB}/node_modules/*
Copyright: the authors of each package
License: as-in-each-package
 MIT, ISC, BSD-3-Clause or Apache-2.0: each directory has the text.

License: Apache-2.0
${body.join('\n')}
`;
}

async function writeDebianDirectory(repository: string, root: string, facts: PackageFacts): Promise<void> {
  const files = await filesBelow(root);
  const sizes = await Promise.all(files.map(async (file) => (await stat(file)).size));
  const kib = sizes.reduce((sum, size) => sum + Math.ceil(size / 1024), 0);
  const sums = await Promise.all(
    files.map(async (file) => {
      const digest = createHash('md5')
        .update(await readFile(file))
        .digest('hex');
      return `${digest}  ${relative(root, file)}\n`;
    }),
  );
  await put(root, {
    'DEBIAN/control': controlFile(facts, kib),
    'DEBIAN/conffiles': '/etc/hyper2kvm/config.toml\n',
    'DEBIAN/md5sums': sums.join(''),
  });
  for (const name of MAINTAINER_SCRIPTS) {
    await copyFile(join(repository, 'src/packaging/debian', name), join(root, 'DEBIAN', name));
  }
}

async function put(root: string, files: Record<string, string | Uint8Array>): Promise<void> {
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), content);
  }
}

/** Regular files, sorted, absolute. */
async function filesBelow(root: string): Promise<string[]> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

/** Whatever the umask and the modes in the repository are. */
async function setModes(root: string): Promise<void> {
  await chmod(root, 0o755);
  for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    await chmod(path, entry.isDirectory() || EXECUTABLES.has(relative(root, path)) ? 0o755 : 0o644);
  }
}
