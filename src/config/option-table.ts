import { distance } from 'fastest-levenshtein';
import { z } from 'zod';
import { configSchema, type DropperBound } from './schema.js';

/**
 * An option as the schema declares it, for the generated documentation, the default file and the checks of
 * job.toml.
 */
export interface OptionRow {
  /** `watch.settle_seconds`. */
  key: string;
  table: string;
  name: string;
  /** `string`, `integer 1 to 64`, `"qcow2" | "raw"`, … */
  type: string;
  default: unknown;
  description: string;
  /** Applied by SIGHUP, without a restart. */
  reload: boolean;
  /** May be set for one VM. */
  perJob: boolean;
  /** `dropper`: also in a job.toml, within `bound`. */
  setBy: 'operator' | 'dropper';
  bound: DropperBound | null;
  /** The environment variable that sets it. */
  variable: string;
  /** Its key in an earlier version. */
  formerly: string | null;
}

let rows: readonly OptionRow[] | null = null;

/** Returns every option in the order of declaration. Computed once, because each job.toml needs it. */
export function optionTable(): readonly OptionRow[] {
  rows ??= readRows();
  return rows;
}

function readRows(): OptionRow[] {
  return tableSchemas().flatMap(([table, schema]) =>
    Object.entries(schema.shape).map(([name, option]) => {
      const meta = (option as z.ZodType).meta() ?? {};
      return {
        key: `${table}.${name}`,
        table,
        name,
        type: typeText(option as z.ZodType),
        default: defaultOf(option as z.ZodType),
        description: meta.description ?? '',
        reload: meta.reload === true,
        perJob: meta.perJob === true,
        setBy: meta.setBy ?? 'operator',
        bound: meta.bound ?? null,
        variable: variableOf(`${table}.${name}`),
        formerly: meta.formerly ?? null,
      };
    }),
  );
}

/** Returns the environment variable of a dotted key. */
export function variableOf(key: string): string {
  return `HYPER2KVM_${key.replace('.', '_')}`.toUpperCase();
}

/** Returns the tables of the configuration with their object schemas. */
export function tableSchemas(): [string, z.ZodObject][] {
  return Object.entries(configSchema.shape).map(([name, table]) => [name, table.unwrap() as z.ZodObject]);
}

/** Returns the JSON schema (draft 2020-12) of what users write, in which nothing is required. */
export function configJsonSchema(): unknown {
  return z.toJSONSchema(configSchema, { io: 'input' });
}

function defaultOf(option: z.ZodType): unknown {
  return option instanceof z.ZodDefault ? option.def.defaultValue : undefined;
}

function typeText(option: z.ZodType): string {
  const schema = z.toJSONSchema(option, { io: 'input' });
  if (schema.enum !== undefined) return schema.enum.map((value) => JSON.stringify(value)).join(' | ');
  const { type, minimum, maximum } = schema;
  const name = typeof type === 'string' ? type : 'value';
  return minimum !== undefined && maximum !== undefined ? `${name} ${minimum} to ${maximum}` : name;
}

/**
 * Parses the text of a variable, flag or override as a number, boolean or list (`a,b`; empty for none). Text
 * that does not parse is left for the schema to refuse.
 */
export function fromText({ default: value }: Pick<OptionRow, 'default'>, text: string): unknown {
  if (typeof value === 'number') return text.trim() === '' ? text : Number(text);
  if (typeof value === 'boolean' && (text === 'true' || text === 'false')) return text === 'true';
  if (Array.isArray(value)) return text.trim() === '' ? [] : text.split(',').map((item) => item.trim());
  return text;
}

/**
 * No option's name is this long; computing the distance takes time proportional to the product of both
 * lengths.
 */
const LONGEST_WORD = 64;

/**
 * Returns the candidate that is nearest by edits (Levenshtein), if it is near enough to be what was meant.
 */
export function nearest(word: string, candidates: readonly string[]): string | null {
  if (word.length > LONGEST_WORD) return null;
  const ranked = candidates
    .map((candidate) => ({ candidate, edits: distance(word, candidate) }))
    .sort((a, b) => a.edits - b.edits);
  const best = ranked[0];
  if (best === undefined || best.edits > Math.max(2, Math.ceil(best.candidate.length / 3))) return null;
  return best.candidate;
}
