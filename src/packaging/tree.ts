import { createHash } from 'node:crypto';
import { chmod, copyFile, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { gzipSync } from 'node:zlib';
import { bashCompletion, zshCompletion } from '../handbook/completion.js';
import { manualPage } from '../handbook/man.js';
import { run } from '../tools/run.js';
import { controlFile } from './control.js';
import { copyrightFile, licenseOf } from './copyright.js';
import { type PackageFacts, packageFacts } from './facts.js';
import { copyModule, type ProductionModule, productionModules } from './modules.js';

const LIB = 'usr/lib/hyper2kvm';
const DOC = 'usr/share/doc/hyper2kvm';
const BASH_COMPLETION = 'usr/share/bash-completion/completions/hyper2kvm';
/** For Windows guests: built from C, and not for this machine. */
const FIRST_BOOT_PROGRAMS = ['first-boot/x86_64/h2kfirst.exe', 'first-boot/i686/h2kfirst.exe'];
/** Parts of the sources that only the repository uses. */
const NOT_SHIPPED = ['handbook', 'packaging'];
const NATIVE = /\.node$/;
const MAINTAINER_SCRIPTS = ['postinst', 'prerm', 'postrm'] as const;
const EXECUTABLES = new Set([
  'usr/bin/hyper2kvm',
  `${LIB}/node`,
  ...MAINTAINER_SCRIPTS.map((name) => `DEBIAN/${name}`),
]);

/** Creates everything in the package under `root`, for dpkg-deb(1). dist/ must be built. */
export async function makePackageTree(repository: string, root: string): Promise<PackageFacts> {
  const modules = await productionModules(repository);
  const lib = join(root, LIB);
  await copyProgram(repository, lib);
  for (const { path } of modules) await copyModule(repository, path, lib);
  const binaries = (await filesBelow(lib)).filter((file) => NATIVE.test(file) || file === join(lib, 'node'));
  // Only debuggers need symbols. What a program exports to its modules is kept, and the same input gives the
  // same bytes.
  for (const file of binaries) await run('strip', ['--strip-unneeded', '--remove-section=.comment', file]);
  const facts = await packageFacts(repository, binaries);
  await copyServiceFiles(repository, root);
  await writeDocuments(repository, root, facts, modules);
  await writeDebianDirectory(repository, root, facts);
  await setModes(root);
  return facts;
}

async function copyProgram(repository: string, lib: string): Promise<void> {
  await mkdir(lib, { recursive: true });
  await copyFile(process.execPath, join(lib, 'node'));
  await copyFile(join(repository, 'package.json'), join(lib, 'package.json'));
  for (const file of await programFiles(repository)) {
    const text = await readFile(join(repository, 'dist', file), 'utf8');
    // /usr/bin/hyper2kvm names the Node that runs it.
    await put(join(lib, 'dist'), { [file]: text.replace(/^#!.*\n/, '') });
  }
  for (const file of FIRST_BOOT_PROGRAMS)
    await put(join(lib, 'dist'), { [file]: await readFile(join(repository, 'dist', file)) });
  await put(dirname(dirname(dirname(lib))), {
    'usr/bin/hyper2kvm': `#!/bin/sh\nexec /${LIB}/node /${LIB}/dist/cli.js "$@"\n`,
  });
}

/**
 * Returns the files below dist/ that are compiled from the current sources. Everything else there is outdated
 * or only for the repository.
 */
async function programFiles(repository: string): Promise<string[]> {
  const sources = await filesBelow(join(repository, 'src'));
  return sources
    .map((file) => relative(join(repository, 'src'), file))
    .filter((file) => /(?<!\.d)\.ts$/.test(file) && !NOT_SHIPPED.includes(file.split('/')[0]!))
    .map((file) => file.replace(/\.ts$/, '.js'));
}

async function copyServiceFiles(repository: string, root: string): Promise<void> {
  const copies: readonly [string, string][] = [
    ['systemd/hyper2kvm.service', 'lib/systemd/system/hyper2kvm.service'],
    ['systemd/hyper2kvm-fetch.service', 'lib/systemd/system/hyper2kvm-fetch.service'],
    ['systemd/hyper2kvm.slice', 'lib/systemd/system/hyper2kvm.slice'],
    ['systemd/hyper2kvm.sysusers.conf', 'usr/lib/sysusers.d/hyper2kvm.conf'],
    ['systemd/hyper2kvm.tmpfiles.conf', 'usr/lib/tmpfiles.d/hyper2kvm.conf'],
    ['config/hyper2kvm.toml', 'etc/hyper2kvm/config.toml'],
    ['src/packaging/debian/lintian-overrides', 'usr/share/lintian/overrides/hyper2kvm'],
  ];
  for (const [source, target] of copies) {
    await mkdir(dirname(join(root, target)), { recursive: true });
    await copyFile(join(repository, source), join(root, target));
  }
}

async function writeDocuments(
  repository: string,
  root: string,
  facts: PackageFacts,
  modules: readonly ProductionModule[],
): Promise<void> {
  const day = new Date(facts.epoch * 1000);
  // gzip(1) -n: without a timestamp.
  const packed = (text: string) => gzipSync(text, { level: 9 });
  await put(root, {
    [BASH_COMPLETION]: bashCompletion(),
    'usr/share/zsh/vendor-completions/_hyper2kvm': zshCompletion(`/${BASH_COMPLETION}`),
    'usr/share/man/man1/hyper2kvm.1.gz': packed(manualPage(facts.version, day.toISOString().slice(0, 10))),
    [`${DOC}/changelog.gz`]: packed(changelog(facts.version, day)),
    [`${DOC}/copyright`]: await copyright(repository, modules, facts.nodeVersion),
  });
  for (const name of await readdir(join(repository, 'docs'))) {
    await put(root, { [`${DOC}/${name}`]: await readFile(join(repository, 'docs', name)) });
  }
}

/** Returns a changelog in the form of deb-changelog(5). */
function changelog(version: string, day: Date): string {
  const date = day.toUTCString().replace('GMT', '+0000');
  return `hyper2kvm (${version}) stable; urgency=medium\n\n  * Version ${version}, built from the repository.\n\n -- hyper2kvm maintainers <hyper2kvm@packages.invalid>  ${date}\n`;
}

async function copyright(
  repository: string,
  modules: readonly ProductionModule[],
  nodeVersion: string,
): Promise<string> {
  const own = { license: 'Apache-2.0', holders: ['the hyper2kvm authors'], text: '', notice: null };
  const node = {
    files: `${LIB}/node`,
    license: `Node.js-${nodeVersion}`,
    holders: ['Node.js contributors and the authors of the libraries in it'],
    text: (await readFile(nodeLicense(), 'utf8')).trim(),
    notice: null,
  };
  const licensed = await Promise.all(modules.map((module) => licenseOf(repository, LIB, module)));
  const firstBoot = {
    ...own,
    files: `${LIB}/dist/first-boot/*`,
    notice:
      'Linked with the start-up code of mingw-w64, which is in the public domain, and with libgcc, under\nGPL-3 with the GCC Runtime Library Exception.',
  };
  return copyrightFile([{ files: '*', ...own }, firstBoot, node, ...licensed]);
}

/** Node's releases have it beside their bin/. */
function nodeLicense(): string {
  return join(dirname(dirname(process.execPath)), 'LICENSE');
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

/** Returns regular files, sorted, absolute. */
async function filesBelow(root: string): Promise<string[]> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

/** Sets fixed modes, independent of the umask and the modes in the repository. */
async function setModes(root: string): Promise<void> {
  await chmod(root, 0o755);
  for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    await chmod(path, entry.isDirectory() || EXECUTABLES.has(relative(root, path)) ? 0o755 : 0o644);
  }
}
