import { optionTable } from '../config/load.js';
import type { Config } from '../config/schema.js';

/**
 * Applies a new configuration on SIGHUP: options that can change at once get their new values, the others
 * keep the old ones and are named, because they need a restart. Pure.
 */
export function reloaded(
  current: Config,
  wanted: Config,
): { config: Config; applied: string[]; needRestart: string[] } {
  const config = structuredClone(current) as Record<string, Record<string, unknown>>;
  const applied: string[] = [];
  const needRestart: string[] = [];
  for (const { key, table, name, reload } of optionTable()) {
    const value = (wanted as unknown as Record<string, Record<string, unknown>>)[table]?.[name];
    const values = config[table];
    if (values === undefined || JSON.stringify(values[name]) === JSON.stringify(value)) continue;
    if (!reload) {
      needRestart.push(key);
      continue;
    }
    applied.push(key);
    values[name] = value;
  }
  return { config: config as unknown as Config, applied, needRestart };
}
