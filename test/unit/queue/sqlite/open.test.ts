import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { openSqlite } from '../../../../src/queue/sqlite/open.js';

it('gives one statement for one text, which works each time', () => {
  const database = openSqlite(':memory:', {});
  database.exec('CREATE TABLE t (a)');
  const insert = () => database.prepare('INSERT INTO t VALUES (?)');
  expect(insert()).toBe(insert());
  insert().run(1);
  insert().run(2);
  expect(database.prepare('SELECT a FROM t').all()).toEqual([{ a: 1 }, { a: 2 }]);
  expect(() => database.prepare('SELECT b FROM t')).toThrow('no such column');
});

it('is the only way in which the product opens a database, prepares and asks', () => {
  const calls = String.raw`new Database\(|[^.]\.((pragma|iterate|pluck|raw|bind)\(|expand\((true|false)?\))`;
  const found = execFileSync('grep', ['-rlE', calls, 'src', 'test', '--include=*.ts'], { encoding: 'utf8' });
  expect(found.trim().split('\n')).toEqual(['src/queue/sqlite/open.ts']);
});
