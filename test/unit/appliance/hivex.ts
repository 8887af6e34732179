import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import koffi from 'koffi';
import type { GuestReader } from '../../../src/access/guest-reader.js';
import type { ApplianceSession } from '../../../src/appliance/session.js';
import { memoryGuest } from '../access/memory-guest.js';

/** libhivex itself, which is what libguestfs's calls of that name are made of. It comes with libguestfs. */
const WRITE = 4;

/** A session that has hivex' calls alone, on files of this host; `calls` has their names. */
export function hivexSession(): { session: Pick<ApplianceSession, 'call'>; calls: string[] } {
  const library = koffi.load('libhivex.so.0');
  const setValue = koffi.struct({ key: 'str', t: 'int', len: 'size_t', value: 'const void *' });
  const open = library.func('void *hivex_open(const char *, int)');
  const root = library.func('size_t hivex_root(void *)');
  const child = library.func('size_t hivex_node_get_child(void *, size_t, const char *)');
  const add = library.func('size_t hivex_node_add_child(void *, size_t, const char *)');
  const remove = library.func('int hivex_node_delete_child(void *, size_t)');
  const set = library.func('hivex_node_set_value', 'int', [
    'void *',
    'size_t',
    koffi.pointer(setValue),
    'int',
  ]);
  const commit = library.func('int hivex_commit(void *, const char *, int)');
  const close = library.func('int hivex_close(void *)');
  let hive: unknown;
  const checked = (result: number) => {
    if (result !== 0) throw new Error(`hivex failed: ${result}`);
  };
  const answers: Record<string, (...args: never[]) => unknown> = {
    hivex_open(path: string) {
      hive = open(path, WRITE);
      if (hive === null) throw new Error('hivex does not open it');
    },
    hivex_root: () => Number(root(hive)),
    hivex_node_get_child: (node: number, name: string) => Number(child(hive, node, name)),
    hivex_node_add_child: (node: number, name: string) => Number(add(hive, node, name)),
    hivex_node_delete_child: (node: number) => checked(remove(hive, node)),
    hivex_node_set_value: (node: number, key: string, t: number, value: Buffer) =>
      checked(set(hive, node, { key, t, len: value.length, value }, 0)),
    hivex_commit: (path: string) => checked(commit(hive, path, 0)),
    hivex_close: () => checked(close(hive)),
  };
  const calls: string[] = [];
  const call = async (name: string, ...args: never[]) => {
    calls.push(name);
    const answer = answers[name];
    if (answer === undefined) throw new Error(`not expected: ${name}`);
    return answer(...args);
  };
  return { session: { call } as unknown as Pick<ApplianceSession, 'call'>, calls };
}

/** A reader of files on this host. */
export function hostReader(): GuestReader {
  return {
    ...memoryGuest({}).reader,
    read: async (path) => readFileSync(path),
    list: async (directory) => readdirSync(directory),
  };
}

export const hostRewrite = async (path: string, content: Buffer) => {
  statSync(path);
  writeFileSync(path, content);
};
