import { optionTable } from '../config/option-table.js';
import { vmOptionsSchema } from '../config/schema.js';
import { CATALOGUE, type CatalogueSection } from '../errors/catalogue.js';
import { FAMILIES } from '../families/registry.js';
import { OTHER_SIGNATURES, otherFailure } from '../stages/validate/other-failures.js';

/**
 * The parts of docs/ that are made from the code's own declarations. Pure; a unit test holds docs/ to them
 * and rewrites it with UPDATE_DOCS=1.
 */

/** docs/configuration.md: every option as the schema declares it. */
export function configurationSection(): string {
  const options = optionTable();
  const parts = [...new Set(options.map(({ table }) => table))].map((table) => {
    const own = options.filter((option) => option.table === table);
    const rows = own.map((option) => [
      code(option.name),
      cell(option.type),
      code(JSON.stringify(option.default)),
      option.bound === null ? option.setBy : `${option.setBy}: ${cell(option.bound.text)}`,
      option.reload ? 'yes' : '',
      cell(option.description) +
        (option.formerly === null ? '' : ` Was ${code(option.formerly)}, which still works.`),
    ]);
    return `### [${table}]\n\n${markdownTable(['key', 'type', 'default', 'set by', 'SIGHUP', 'meaning'], rows)}`;
  });
  return parts.join('\n');
}

/** docs/configuration.md: the keys of a job.toml's `[vm]`. */
export function vmSection(): string {
  const rows = Object.entries(vmOptionsSchema.shape).map(([name, option]) => [
    code(name),
    option.meta()?.setBy ?? 'operator',
    cell(option.meta()?.description ?? ''),
  ]);
  return markdownTable(['key', 'set by', 'meaning'], rows);
}

const BEFORE_THE_MOVE = '*Also before the move, by [`hyper2kvm live`](live.md).*';

/** docs/changes.md: each fixer's own description, in the order in which they run. */
export function changesSection(): string {
  return FAMILIES.filter(({ fixers }) => fixers.length > 0)
    .map(({ os, fixers }) => {
      const parts = fixers.map(
        ({ name, description, whileRunning }) =>
          `### ${name}\n\n${description}${whileRunning ? ` ${BEFORE_THE_MOVE}` : ''}\n`,
      );
      return [`## ${os === 'linux' ? 'Linux' : 'Windows'}\n`, ...parts].join('\n');
    })
    .join('\n');
}

/** docs/failures.md: how a boot fails, from the recogniser's own table. */
export function bootFailuresSection(): string {
  // Families share the firmware's signatures.
  const signatures = new Set(FAMILIES.flatMap(({ boot }) => boot.signatures));
  const rows = [...signatures, ...OTHER_SIGNATURES.map(otherFailure)].map(
    ({ signature, meaning, advice }) => [code(`validate.${signature}`), cell(meaning), cell(advice)],
  );
  return markdownTable(['code', 'what was seen', 'what to do'], rows);
}

/** docs/failures.md: what is tried after a boot that failed, from the families' own tables. */
export function remediesSection(): string {
  const rows = [...new Set(FAMILIES.flatMap(({ remedies }) => remedies))].map(
    ({ signatures, description }) => [
      signatures.map((name) => code(name.startsWith('validate.') ? name : `validate.${name}`)).join(' '),
      cell(description),
    ],
  );
  return markdownTable(['after', 'is tried'], rows);
}

/** docs/failures.md: one section of the catalogue. Codes with the same meaning and advice share a row. */
export function errorsSection(section: CatalogueSection): string {
  const rows = new Map<string, { codes: string[]; cells: string[] }>();
  for (const [name, { meaning, advice }] of Object.entries(CATALOGUE[section])) {
    const cells = [cell(meaning), cell(advice)];
    const row = rows.get(cells.join('|')) ?? { codes: [], cells };
    row.codes.push(code(name));
    rows.set(cells.join('|'), row);
  }
  return markdownTable(
    ['code', 'meaning', 'what to do'],
    [...rows.values()].map(({ codes, cells }) => [codes.join(' '), ...cells]),
  );
}

/**
 * Replaces what is between `<!-- generated: NAME -->` and `<!-- end -->`. Throws if the marks are missing.
 */
export function withSection(page: string, name: string, section: string): string {
  const { start, end } = placeOf(page, name);
  return `${page.slice(0, start)}\n${section}\n${page.slice(end)}`;
}

/** Returns what stands in the generated section of that name. */
export function sectionText(page: string, name: string): string {
  const { start, end } = placeOf(page, name);
  return page.slice(start, end).trim();
}

function placeOf(page: string, name: string): { start: number; end: number } {
  const begin = `<!-- generated: ${name} -->\n`;
  const start = page.indexOf(begin);
  const end = page.indexOf('<!-- end -->', start);
  if (start === -1 || end === -1) throw new Error(`no generated section ${name}`);
  return { start: start + begin.length, end };
}

function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |\n`;
  return line(head) + line(head.map(() => '---')) + rows.map(line).join('');
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ').replaceAll('<', '&lt;');
}

function code(text: string): string {
  return `\`${text.replaceAll('|', '\\|')}\``;
}
