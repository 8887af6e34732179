import type { Pause } from '../store.js';
import type { Sqlite } from './open.js';
import type { SqliteOutbox } from './outbox.js';

/** Created by the migration that needs it. */
export const OWNER = 'owner';
/** Time since which an operator's pause holds. */
export const PAUSED = 'paused';

/** Values that persist beside the jobs. */
export interface Settings {
  get(key: string): string | null;
  set(key: string, value: string | null): void;
}

export function settingTable(database: Sqlite): Settings {
  const get = database.prepare<[string], { value: string }>('SELECT value FROM settings WHERE key = ?');
  const remove = database.prepare<[string]>('DELETE FROM settings WHERE key = ?');
  const replace = database.prepare<[string, string]>(
    'INSERT OR REPLACE INTO settings (key, value) VALUES (?, ?)',
  );
  return {
    get: (key) => get.get(key)?.value ?? null,
    set: (key, value) => void (value === null ? remove.run(key) : replace.run(key, value)),
  };
}

export function sqlitePause(database: Sqlite, settings: Settings, outbox: SqliteOutbox): Pause {
  return {
    async isOn() {
      return settings.get(PAUSED) !== null;
    },
    set: async (on, tell) =>
      database.transaction(() => {
        if ((settings.get(PAUSED) !== null) === on) return false;
        settings.set(PAUSED, on ? new Date().toISOString() : null);
        outbox.insert(tell(), Date.now());
        return true;
      })(),
  };
}
