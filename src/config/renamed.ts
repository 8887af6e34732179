import { type OptionRow, optionTable, variableOf } from './option-table.js';

/** A key that is written under the name of an earlier version. */
export interface RenamedKey {
  /** The file with line and column, the variable or the flag. */
  where: string;
  from: string;
  to: string;
}

/** Returns one line for people. */
export function renamedText({ where, from, to }: RenamedKey): string {
  return `${where}: ${from} was renamed to ${to}; the old name still works, but should be changed`;
}

/** Returns the option whose key was `key` in an earlier version. */
export function formerly(key: string): OptionRow | null {
  return optionTable().find((option) => option.formerly === key) ?? null;
}

/** Returns the option that had this variable in an earlier version. */
export function formerlyVariable(variable: string): OptionRow | null {
  return (
    optionTable().find((option) => option.formerly !== null && variableOf(option.formerly) === variable) ??
    null
  );
}

/**
 * Moves values under former names in `tables` to the new ones, in place, and calls `renamed` for each. If
 * both names are set, the old one stays and is refused as an unknown key.
 */
export function moveFormerKeys(
  tables: Record<string, unknown>,
  renamed: (option: OptionRow, from: string) => void,
): void {
  for (const option of optionTable()) {
    if (option.formerly === null) continue;
    const [oldTable, oldName] = option.formerly.split('.') as [string, string];
    const from = tables[oldTable];
    const to = tables[option.table] ?? {};
    if (!isTable(from) || !Object.hasOwn(from, oldName)) continue;
    if (!isTable(to) || Object.hasOwn(to, option.name)) continue;
    const { [oldName]: value, ...rest } = from;
    tables[option.table] = { ...to, [option.name]: value };
    if (Object.keys(rest).length > 0) tables[oldTable] = rest;
    else delete tables[oldTable];
    renamed(option, option.formerly);
  }
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
