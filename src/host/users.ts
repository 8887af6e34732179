import { readFile } from 'node:fs/promises';

export interface User {
  name: string;
  uid: number;
  /** All groups that it is a member of, its primary group first. */
  groups: readonly number[];
}

/** Returns the user `name` by passwd(5) and group(5), or null. Network users (LDAP) are not found. */
export async function findUser(name: string): Promise<User | null> {
  const [passwd, groups] = await Promise.all(
    ['/etc/passwd', '/etc/group'].map(async (file) => lines(await readFile(file, 'utf8'))),
  );
  const own = passwd!.find(([user]) => user === name);
  if (own === undefined) return null;
  const others = groups!.filter(([, , , members = '']) => members.split(',').includes(name));
  return {
    name,
    uid: Number(own[2]),
    groups: [...new Set([Number(own[3]), ...others.map(([, , gid]) => Number(gid))])],
  };
}

const lines = (text: string) =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.split(':'));
