import { expect, test } from 'vitest';
import { vmOptionsSchema } from '../../../src/config/schema.js';
import { isVmName, vmName } from '../../../src/model/vm-name.js';

test.each([
  ['web01', 'web01'],
  ['Büro Server (alt)', 'Buro-Server-alt'],
  ['-rf', 'rf'],
  ['$(reboot)\n', 'reboot'],
  ['数据库', '数据库'],
  ['データ', 'データ'],
  ['サーバー（本番）', 'サーバー-本番'],
  ['Новый сервер', 'Новый-сервер'],
  ['ｗｅｂ０１', 'web01'],
  ['한국어', '한국어'],
  ['ฐานข้อมูล', 'ฐานข้อมูล'],
  ['a\u202eb', 'a-b'],
  ['\ud800', 'vm'],
  ['★', 'vm'],
  ['x'.repeat(200), 'x'.repeat(63)],
  ['数'.repeat(63), '数'.repeat(40)],
  ['𠀀'.repeat(63), '𠀀'.repeat(30)],
])('the VM’s name for %j is %j', (drop, name) => {
  expect(vmName(drop)).toBe(name.normalize('NFC'));
  expect(isVmName(vmName(drop))).toBe(true);
});

test.each(['', '-x', 'a/b', 'a b', 'a\n', '$x', '★', 'x'.repeat(64), '数'.repeat(41), '\u0301a'])(
  '%j is refused as `[vm] name`',
  (name) => {
    expect(vmOptionsSchema.safeParse({ name }).success).toBe(false);
  },
);

test('`[vm] name` may have letters of any script', () => {
  expect(vmOptionsSchema.parse({ name: '数据库-2' })).toEqual({ name: '数据库-2' });
});
