import type { Sqlite } from './database.js';

/** What outlives a restart beside the jobs: an operator's `pause` holds until `resume`. */
export class SettingTable {
  readonly #database: Sqlite;

  constructor(database: Sqlite) {
    this.#database = database;
  }

  get(key: string): string | null {
    const row = this.#database
      .prepare<[string], { value: string }>('SELECT value FROM settings WHERE key = ?')
      .get(key);
    return row?.value ?? null;
  }

  set(key: string, value: string | null): void {
    if (value === null) this.#database.prepare('DELETE FROM settings WHERE key = ?').run(key);
    else this.#database.prepare('INSERT OR REPLACE INTO settings (key, value) VALUES (?, ?)').run(key, value);
  }
}
