import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ProductionModule } from './modules.js';

/** A part of the package with its licence. */
export interface Licensed {
  /** Its files, in the form of Debian's copyright file: `usr/lib/hyper2kvm/node`. */
  files: string;
  /** The SPDX expression in its manifest. */
  license: string;
  /** `2014 Mathias Buus`, one for each line of the licence that names a holder. */
  holders: string[];
  /** The licence without those lines. */
  text: string;
  /** The notice that the Apache licence requires to be passed on. */
  notice: string | null;
}

/** Debian's names if they differ from SPDX's. */
const DEBIAN_NAMES: Readonly<Record<string, string>> = { MIT: 'Expat' };
/** Licences whose text is on every Debian system. */
const COMMON_LICENSES: Readonly<Record<string, string>> = {
  'Apache-2.0': 'On Debian systems the text is in /usr/share/common-licenses/Apache-2.0.',
};
/** Packages without a licence file, and the package of the same authors that has it. */
const LICENSED_WITH: Readonly<Record<string, string>> = { '@koromix/koffi-linux-x64': 'koffi' };

const LICENSE_FILE = /^(licen[cs]e|copying)(\.(md|txt))?$/i;
const NOTICE_FILE = /^notice(\.(md|txt))?$/i;
/** A line that names a holder, as opposed to the licence's own text about such lines. */
const HOLDER =
  /^\s*(?:Copyright\s+(?:\([cC]\)|©)|Copyright(?=\s+(?:\d{4}|[A-Z]))|\([cC]\)(?=\s*\d{4}))\s*(.+)$/;

/**
 * Returns the licence of an installed package. Throws an Error for a package without one, which may not be
 * distributed.
 */
export async function licenseOf(
  repository: string,
  lib: string,
  module: ProductionModule,
): Promise<Licensed> {
  const source = LICENSED_WITH[module.name];
  const directory = join(repository, source === undefined ? module.path : `node_modules/${source}`);
  const names = (await readdir(directory)).sort();
  const file = names.find((name) => LICENSE_FILE.test(name));
  if (file === undefined) throw new Error(`${module.path} has no licence file: it may not be shipped`);
  const notice = names.find((name) => NOTICE_FILE.test(name));
  const licensed = readLicense(await readFile(join(directory, file), 'utf8'));
  return {
    files: `${lib}/${module.path}/*`,
    license: module.license,
    holders:
      licensed.holders.length > 0 ? licensed.holders : [module.author ?? `the authors of ${module.name}`],
    text: licensed.text,
    notice: notice === undefined ? null : (await readFile(join(directory, notice), 'utf8')).trim(),
  };
}

/** Separates the lines that name holders from the terms. Pure. */
export function readLicense(content: string): { holders: string[]; text: string } {
  const lines = content.trim().split(/\r?\n/);
  return {
    holders: lines.flatMap((line) => HOLDER.exec(line)?.[1]?.trim() ?? []),
    text: lines
      .filter((line) => !HOLDER.test(line))
      .join('\n')
      .replaceAll(/\n{3,}/g, '\n\n')
      .trim(),
  };
}

/**
 * Returns Debian's machine-readable copyright file
 * (https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/). A text that several parts share
 * appears once. Pure.
 */
export function copyrightFile(parts: readonly Licensed[]): string {
  const texts = new Map<string, { name: string; text: string }>();
  const used = new Map<string, number>();
  const paragraphs = parts.map((part) => {
    const text = COMMON_LICENSES[part.license] ?? part.text;
    const key = `${part.license} ${text.replaceAll(/\s+/g, ' ').toLowerCase()}`;
    if (!texts.has(key)) {
      const count = (used.get(part.license) ?? 0) + 1;
      used.set(part.license, count);
      const name = DEBIAN_NAMES[part.license] ?? part.license;
      texts.set(key, { name: count === 1 ? name : `${name}-${count}`, text });
    }
    return [
      `Files: ${part.files}`,
      `Copyright: ${part.holders.join('\n           ')}`,
      `License: ${texts.get(key)!.name}`,
      ...(part.notice === null ? [] : [`Comment:\n${indented(part.notice)}`]),
    ].join('\n');
  });
  const format = 'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/';
  const licenses = [...texts.values()].map(({ name, text }) => `License: ${name}\n${indented(text)}`);
  return `${[format, ...paragraphs, ...licenses].join('\n\n')}\n`;
}

/** Formats a field of several lines: each line is indented, and an empty one is a dot. */
function indented(text: string): string {
  return text
    .split('\n')
    .map((line) => (line.trim() === '' ? ' .' : ` ${line.trimEnd()}`))
    .join('\n');
}
