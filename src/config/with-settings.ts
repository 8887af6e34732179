import { type JobOptions, jobOptionsSchema } from './schema.js';

/**
 * Returns the options with other values by dotted key: `fix.initramfs` is in the configuration, `vm.firmware` in the
 * job's own table. Throws for a key or value that is not in the schema.
 */
export function withSettings(options: JobOptions, settings: Readonly<Record<string, unknown>>): JobOptions {
  const changed = structuredClone(options) as unknown as Record<string, Record<string, unknown>>;
  for (const [key, value] of Object.entries(settings)) {
    const [table = '', name = ''] = key.split('.');
    const tables = (table === 'vm' ? changed : changed.config) as Record<string, Record<string, unknown>>;
    tables[table] = { ...tables[table], [name]: value };
  }
  return jobOptionsSchema.parse(changed);
}
