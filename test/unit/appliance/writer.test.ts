import { tmpdir } from 'node:os';
import { describe, expect, it } from 'vitest';
import type { GuestWriter } from '../../../src/access/guest-writer.js';
import { callError } from '../../../src/appliance/errors.js';
import { applianceReader } from '../../../src/appliance/reader.js';
import type { ApplianceSession } from '../../../src/appliance/session.js';
import { applianceWriter } from '../../../src/appliance/writer.js';
import { answeringSession } from './session.js';

const DIRECTORY = { mode: 0o040755 };
const writerIn = (session: ApplianceSession, selinux: boolean) => {
  const workDirectory = '/nonexistent';
  return applianceWriter(session, applianceReader(session, workDirectory), { workDirectory, selinux });
};

const absent = () => {
  throw callError('lstatns', 'No such file or directory', 2);
};

/** A guest with SELinux; `lgetxattr` answers what the test says. Returns what was labelled and written. */
async function inGuest(lgetxattr: (path: string) => Buffer, act: (target: GuestWriter) => Promise<unknown>) {
  const made = new Set(['/etc', '/etc/systemd', '/boot/efi/EFI']);
  const { session, calls } = answeringSession({
    statns: (path: string) => (made.has(path) ? DIRECTORY : absent()),
    mkdir_p: (path: string) => void made.add(path),
    ls: () => ['neighbour'],
    write: () => undefined,
    chmod: () => undefined,
    cp: () => undefined,
    ln_sf: () => undefined,
    lsetxattr: () => undefined,
    lgetxattr,
    lstatns: absent,
  });
  await act(writerIn(session, true));
  const of = (name: string, argument: number) =>
    calls.filter(([called]) => called === name).map((call) => call[argument]);
  return { labelled: of('lsetxattr', 3), written: of('write', 1) };
}

const labelled = () => Buffer.from('system_u:object_r:etc_t:s0\0');
const failing = (errno: number) => () => {
  throw callError('lgetxattr', 'lgetxattr failed', errno);
};

describe('SELinux labels', () => {
  it('are given to what is new: files, links and the directories made for them', async () => {
    const result = await inGuest(labelled, async (target) => {
      await target.create('/etc/systemd/a/b/file', Buffer.from('x'), 0o644);
      await target.symlink('/etc/systemd/link', '/dev/null');
    });
    expect(result.labelled).toEqual([
      '/etc/systemd/a',
      '/etc/systemd/a/b',
      '/etc/systemd/a/b/file',
      '/etc/systemd/link',
    ]);
  });

  it('are a file’s of the same kind, else the directory’s own', async () => {
    const asked: string[] = [];
    const session = answeringSession({
      statns: () => DIRECTORY,
      lstatns: absent,
      ls: () => ['adjtime', 'a.conf', 'new.conf'],
      ...{ write: () => undefined, chmod: () => undefined, lsetxattr: () => undefined },
      lgetxattr: (path: string) => {
        asked.push(path);
        return labelled();
      },
    }).session;
    const target = writerIn(session, true);
    await target.create('/etc/new.conf', Buffer.from('x'), 0o644);
    await target.create('/etc/new', Buffer.from('x'), 0o644);
    expect(asked).toEqual(['/etc/a.conf', '/etc/.']);
  });

  it('are not asked for on the ESP: a vfat has none, and nothing is to be relabelled for it', async () => {
    const result = await inGuest(failing(95), (target) =>
      target.copy('/boot/efi/EFI/rocky/shimx64.efi', '/boot/efi/EFI/BOOT/BOOTX64.EFI'),
    );
    expect(result.written).toEqual([]);
  });

  it('are left to the guest’s next start where no neighbour has one', async () => {
    const result = await inGuest(failing(61), (target) => target.create('/etc/new', Buffer.from('x'), 0o644));
    expect(result.written).toEqual(['/etc/new', '/.autorelabel']);
  });

  it('that cannot be read for another reason are a failure', async () => {
    const create = inGuest(failing(5), (target) => target.create('/etc/new', Buffer.from('x'), 0o644));
    await expect(create).rejects.toMatchObject({ code: 'guest.call-failed' });
  });
});

it('never writes a new file over one that was not seen', async () => {
  const { session, calls } = answeringSession({ lstatns: () => ({ mode: 0o100644 }) });
  const target = writerIn(session, false);
  await expect(target.create('/etc/new', Buffer.from('x'), 0o644)).rejects.toMatchObject({
    code: 'fix.unexpected-file',
  });
  expect(calls.map(([name]) => name)).toEqual(['lstatns']);
});

describe('flags that forbid a change (chattr)', () => {
  /** A guest whose files have these flags; what they forbid is refused as the kernel does. */
  function locked(flags: Record<string, string>) {
    const files = new Set(['/etc', '/etc/fstab', '/etc/old', '/etc/d']);
    const check = (...paths: string[]) => {
      if (paths.some((path) => /[ai]/.test(flags[path] ?? '')))
        throw callError('write', 'Operation not permitted', 1);
    };
    const parent = (path: string) => path.slice(0, path.lastIndexOf('/'));
    const { session, calls } = answeringSession({
      statns: (path: string) => (files.has(path) ? DIRECTORY : absent()),
      lstatns: (path: string) => (files.has(path) ? DIRECTORY : absent()),
      write: (path: string) => (files.has(path) ? check(path) : check(parent(path))),
      rm_f: (path: string) => {
        check(path, parent(path));
        files.delete(path);
      },
      ln_sf: (_target: string, path: string) => check(parent(path)),
      chmod: () => undefined,
      get_e2attrs: (path: string) => {
        if (!files.has(path)) throw callError('get_e2attrs', 'lsattr: No such file or directory', 0);
        return flags[path] ?? 'e';
      },
      set_e2attrs: (path: string, letters: string, options?: { clear?: boolean }) => {
        const rest = (flags[path] ?? '').replace(new RegExp(`[${letters}]`, 'g'), '');
        flags[path] = options?.clear === true ? rest : rest + letters;
      },
    });
    return { flags, calls, target: writerIn(session, false) };
  }

  it('are taken off a file that must change, and set again', async () => {
    const { flags, target } = locked({ '/etc/fstab': 'ie' });
    await target.rewrite('/etc/fstab', Buffer.from('x'));
    expect(flags).toEqual({ '/etc/fstab': 'ei' });
  });

  it('are taken off a directory for what is new or removed in it', async () => {
    const { flags, target } = locked({ '/etc': 'ie', '/etc/old': 'ae' });
    await target.create('/etc/new', Buffer.from('x'), 0o644);
    await target.symlink('/etc/d/link', '/dev/null');
    await target.remove('/etc/old');
    expect(flags).toEqual({ '/etc': 'ei', '/etc/old': 'e' });
  });

  it('are not looked for where nothing is refused, and not blamed for another refusal', async () => {
    const { calls, target } = locked({});
    await target.rewrite('/etc/fstab', Buffer.from('x'));
    expect(calls).toHaveLength(1);
    const refused = answeringSession({
      write: () => {
        throw callError('write', 'Input/output error', 5);
      },
      get_e2attrs: () => 'e',
    });
    const rewriting = writerIn(refused.session, false).rewrite('/a', Buffer.from('x'));
    await expect(rewriting).rejects.toMatchObject({ message: expect.stringContaining('Input/output error') });
  });
});

describe('bytes at the end of a file', () => {
  const appended = async (bytes: Buffer, pwrite: (path: string, part: Buffer) => number) => {
    const { session, calls } = answeringSession({ pwrite, upload_offset: () => undefined });
    const target = applianceWriter(session, applianceReader(session, tmpdir()), {
      workDirectory: tmpdir(),
      selinux: false,
    });
    await target.append('/boot/initrd', bytes, 1000);
    return calls.filter(([name]) => name === 'pwrite' || name === 'upload_offset');
  };

  it('are written by one message, and what it did not take by the next', async () => {
    const bytes = Buffer.from('appendix');
    expect(await appended(bytes, (_, part) => part.length)).toEqual([
      ['pwrite', '/boot/initrd', bytes, 1000],
    ]);
    expect(await appended(bytes, (_, part) => Math.min(part.length, 6))).toEqual([
      ['pwrite', '/boot/initrd', bytes, 1000],
      ['pwrite', '/boot/initrd', Buffer.from('ix'), 1006],
    ]);
  });

  it('come by a file of the host where they do not fit into a message', async () => {
    const calls = await appended(Buffer.alloc(3 * 1024 ** 2), () => 0);
    expect(calls).toEqual([['upload_offset', expect.any(String), '/boot/initrd', 1000]]);
  });
});
