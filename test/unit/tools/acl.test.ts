import { chmod, chown, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { User } from '../../../src/host/users.js';
import { allowSearch, closedDirectories, maySearch, pathTo } from '../../../src/tools/acl.js';
import { run } from '../../../src/tools/run.js';

const USER: User = { name: 'nobody', uid: 65534, groups: [65534, 4711] };

describe('maySearch', () => {
  const directory = (mode: number, uid = 1, gid = 1) => ({ mode: 0o40000 | mode, uid, gid });
  test('asks the class that the user is of, and no other', () => {
    expect(maySearch(directory(0o711), '', USER)).toBe(true);
    expect(maySearch(directory(0o750), '', USER)).toBe(false);
    expect(maySearch(directory(0o750, 1, 4711), '', USER)).toBe(true);
    expect(maySearch(directory(0o701, 1, 4711), '', USER)).toBe(false);
    expect(maySearch(directory(0o077, 65534), '', USER)).toBe(false);
  });

  test('goes by the access control list, as far as its mask lets', () => {
    const acl = (own: string, mask: string) =>
      `user::rwx\nuser:65534:${own}\t#effective:---\ngroup::r-x\nmask::${mask}\nother::--x\n`;
    expect(maySearch(directory(0o751), acl('--x', 'r-x'), USER)).toBe(true);
    expect(maySearch(directory(0o741), acl('--x', 'r--'), USER)).toBe(false);
    expect(maySearch(directory(0o751), acl('r--', 'r-x'), USER)).toBe(false);
    const groups = 'user::rwx\ngroup::---\ngroup:4711:--x\nmask::--x\nother::---\n';
    expect(maySearch(directory(0o710), groups, USER)).toBe(true);
    expect(maySearch(directory(0o710, 1, 65534), groups, USER)).toBe(true);
    expect(maySearch(directory(0o710), groups, { ...USER, groups: [65534] })).toBe(false);
  });
});

test('pathTo names every directory on the way', () => {
  expect(pathTo('/srv/vms/web01')).toEqual(['/', '/srv', '/srv/vms', '/srv/vms/web01']);
});

/** Only root may ask the kernel as another user. */
describe.runIf(process.getuid?.() === 0)('on a real directory', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'h2k-acl-'));
    await chmod(directory, 0o755);
  });
  afterEach(() => rm(directory, { recursive: true }));

  /** Those of the paths that the kernel does not let the user pass through. */
  async function closedByKernel(paths: readonly string[]): Promise<string[]> {
    const identity = [`--reuid=${USER.uid}`, `--regid=65534`, `--groups=${USER.groups.join(',')}`];
    const script = 'for path; do test -x "$path" || echo "$path"; done';
    const { stdout } = await run('setpriv', [...identity, '--', 'sh', '-c', script, 'sh', ...paths]);
    return stdout
      .toString()
      .split('\n')
      .filter((path) => path !== '');
  }

  test('the kernel says the same, with modes, owners and lists of all kinds', async () => {
    const lists = ['', 'u:65534:x', 'u:65534:-', 'g:4711:x', 'g:4711:-', 'u:65534:x,m::r', 'g:4711:x,g::-'];
    const paths: string[] = [];
    for (const list of lists) {
      const alike: string[] = [];
      for (const [index, mode] of [0o700, 0o710, 0o701, 0o755, 0o750, 0o077].entries())
        for (const [uid, gid] of [
          [0, 0],
          [65534, 0],
          [0, 4711],
        ] as const) {
          const path = join(directory, `${index}-${uid}-${gid}-${list}`);
          await mkdir(path);
          await chown(path, uid, gid);
          await chmod(path, mode);
          alike.push(path);
        }
      if (list !== '') await run('setfacl', ['-m', list, ...alike]);
      paths.push(...alike);
    }
    const closed = await closedDirectories(USER, [...paths, join(directory, 'missing')]);
    expect(closed).toEqual(await closedByKernel(paths));
    expect(closed.length).toBeGreaterThan(0);
    expect(closed.length).toBeLessThan(paths.length);
  });

  test('allowSearch lets the user through and shows it nothing, and what is made later too', async () => {
    const archive = join(directory, 'archive');
    await mkdir(archive, { mode: 0o750 });
    expect(await closedDirectories(USER, pathTo(archive))).toEqual([archive]);
    await allowSearch(USER, [archive], { inherit: true });
    const day = join(archive, 'day');
    await mkdir(day, { mode: 0o750 });
    expect(await closedDirectories(USER, pathTo(day))).toEqual([]);
    expect(await closedByKernel([day])).toEqual([]);
    const identity = ['--reuid=65534', '--regid=65534', '--clear-groups', '--', 'ls', archive];
    await expect(run('setpriv', identity)).rejects.toThrow('Permission denied');
    // And it is nobody else's.
    expect(await closedDirectories({ name: 'daemon', uid: 1, groups: [1] }, [archive, day])).toHaveLength(2);
  });
});
