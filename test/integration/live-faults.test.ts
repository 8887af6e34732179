import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { errorRecord } from '#hyper2kvm/errors/error.js';
import { applyChanges, restoreBackup } from '#hyper2kvm/ssh/apply-changes.js';
import type { Change, NewContent } from '#hyper2kvm/ssh/changes.js';
import { locate } from '#hyper2kvm/ssh/file-state.js';
import type { RemoteShell } from '#hyper2kvm/ssh/shell.js';
import { run } from '#hyper2kvm/tools/run.js';

/**
 * The script that applies a plan on a host, interrupted at each of its steps. It runs here, without SSH, in a
 * directory that stands for the host.
 */
const ID = '20260301T090000Z-1a2b3c';
/** Of these, each call is a step. */
const TOOLS = ['cp', 'mv', 'sync', 'touch', 'mkdir', 'head'];

let scratch = '';
let host = '';
let base = '';
let changes: Change[] = [];

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'h2k-live-faults-'));
  base = join(scratch, 'backups');
  host = join(scratch, 'host');
  await mkdir(join(scratch, 'tools'));
  for (const tool of TOOLS) {
    const { stdout } = await run('sh', ['-c', `command -v ${tool}`]);
    await writeFile(join(scratch, 'tools', tool), interrupting(stdout.toString('utf8').trim()));
    await chmod(join(scratch, 'tools', tool), 0o755);
  }
  await makeFirstHost();
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

/**
 * A tool that counts its calls, and interrupts the script that calls it before the one of number `$LIVE_STEP`;
 * a cut is noticed at every step.
 */
const interrupting = (program: string) => `#!/bin/sh
n=$(($(cat ${scratch}/count) + 1))
echo "$n" > ${scratch}/count
if [ "$n" = "$LIVE_STEP" ]; then
  case $LIVE_FAULT in
    kill) kill -KILL "$PPID"; exit 1 ;;
    fail) echo "No space left on device" >&2; exit 1 ;;
  esac
fi
if [ "$LIVE_FAULT" = cut ]; then kill -HUP "$PPID"; kill -PIPE "$PPID"; fi
exec ${program} "$@"
`;

interface Fault {
  fault: 'none' | 'kill' | 'cut' | 'fail';
  step: number;
  /** Bytes of the input that arrive. */
  input?: number;
}

/** Runs scripts here; `fault` happens to those with an input. */
function localShell({ fault, step, input: arrives }: Fault): RemoteShell {
  return {
    async run(script, { input = new Uint8Array() } = {}) {
      const isApply = input.length > 0;
      const tools = isApply ? `PATH=${scratch}/tools:$PATH; export PATH\n` : '';
      const env = { ...process.env, LIVE_FAULT: fault, LIVE_STEP: String(step), LC_ALL: 'C' };
      await writeFile(join(scratch, 'count'), '0');
      const child = spawn('sh', ['-c', `umask 077\n${tools}${script}`], { env });
      const out: Buffer[] = [];
      const err: Buffer[] = [];
      child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
      child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
      child.stdin.on('error', () => {});
      child.stdin.end(input.subarray(0, arrives ?? input.length));
      const [code] = (await once(child, 'close')) as [number | null];
      return { code: code ?? 137, stdout: Buffer.concat(out), stderr: Buffer.concat(err).toString('utf8') };
    },
    save: () => Promise.reject(new Error('nothing is saved')),
  };
}

const QUIET: Fault = { fault: 'none', step: 0 };

/** The host as it was before; made once and then copied. */
async function makeHost(): Promise<void> {
  const copies = `rm -rf -- "$1" "$2" && cp -a -- "$3" "$1"`;
  await run('sh', ['-ec', copies, 'sh', host, base, join(scratch, 'first')]);
}

async function makeFirstHost(): Promise<void> {
  await mkdir(join(host, 'etc'), { recursive: true });
  await mkdir(join(host, 'boot'));
  await writeFile(join(host, 'etc/fstab'), '/dev/sda1 / ext4\n');
  await writeFile(join(host, 'etc/gone'), 'to be removed\n');
  await symlink('/old', join(host, 'etc/link'));
  await writeFile(join(host, "boot/it's an initrd"), Buffer.alloc(10_000, 'i'));
  await run('setfattr', ['-n', 'user.note', '-v', 'kept', join(host, 'etc/fstab')]);
  await run('setfacl', ['-m', 'u:daemon:rw', join(host, 'etc/fstab')]);
  await run('chown', ['1:2', join(host, 'etc/fstab')]);
  changes = await makeChanges();
  await rename(host, join(scratch, 'first'));
}

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

async function makeChanges(): Promise<Change[]> {
  const change = async (path: string, after: Change['after']): Promise<Change> => {
    const { state, ...place } = await locate(localShell(QUIET), join(host, path), { follow: false });
    if (state.type === 'other') throw new Error(`${path} is not a file`);
    return { ...place, before: state, after };
  };
  const file = (content: NewContent, whole: Buffer) =>
    ({ type: 'file', sha256: sha256(whole), size: whole.length, mode: 0o640, content }) as const;
  const bytes = (text: string) => file({ kind: 'bytes', bytes: Buffer.from(text) }, Buffer.from(text));
  const more = Buffer.from('more');
  return [
    await change('etc/fstab', bytes('UUID=1 / ext4\n')),
    await change(
      "boot/it's an initrd",
      file({ kind: 'appended', bytes: more }, Buffer.concat([Buffer.alloc(10_000, 'i'), more])),
    ),
    await change('etc/dracut.conf.d/sub/new.conf', bytes('new\n')),
    await change(
      'boot/copy',
      file({ kind: 'copy', from: join(host, 'etc/gone') }, Buffer.from('to be removed\n')),
    ),
    await change('etc/gone', { type: 'absent' }),
    await change('etc/link', { type: 'symlink', target: '/new' }),
  ];
}

/** Everything on the host, with all that belongs to it. */
async function look(): Promise<string> {
  const { stdout } = await run('sh', [
    '-c',
    'cd "$1" && find . -printf "%p %y %m %U %G %l\\n" | sort && find . -type f -exec sha256sum {} + | sort && find . ! -type l -print0 | sort -z | xargs -0 sh -c \'getfattr -d -m - -e hex -- "$@" && getfacl -p -- "$@"\' sh',
    'sh',
    host,
  ]);
  return stdout.toString('utf8').replace(/^(\.|\.\/etc|\.\/boot) d .*$/gm, '$1 d');
}

const apply = async (fault: Fault, some: readonly Change[] = changes): Promise<string> =>
  applyChanges(localShell(fault), some, { id: ID, digest: 'sha256:0', base }).then(
    () => 'applied',
    (error: unknown) => errorRecord(error).code,
  );
const rollback = () => restoreBackup(localShell(QUIET), { id: ID, base });

describe.runIf(process.getuid?.() === 0)('a plan that is applied on a host', () => {
  test('is there with everything, keeps attributes, and is undone to the last attribute', async () => {
    await makeHost();
    const before = await look();
    expect(await apply(QUIET)).toBe('applied');
    const after = await look();
    expect(await readFile(join(host, 'etc/fstab'), 'utf8')).toBe('UUID=1 / ext4\n');
    expect((await readFile(join(host, "boot/it's an initrd"))).subarray(9_998).toString()).toBe('iimore');
    expect(after).toContain('./etc/fstab f 664 1 2');
    expect(after).toContain('user:daemon:rw-');
    expect(after.match(/user\.note=0x6b657074/g)).toHaveLength(1);
    expect(after).toContain('./etc/dracut.conf.d/sub/new.conf f 640 0 0');
    expect(after).toContain('./etc/dracut.conf.d d 755 0 0');
    expect(after).not.toContain('hyper2kvm');
    expect(await readdir(join(base, ID))).toEqual(['0', '1', '4', '5', 'done', 'manifest.json', 'restore']);
    await run('sh', [join(base, ID, 'restore')]);
    expect(await look()).toBe(before);
    // Once more is not an error.
    expect(await rollback()).toEqual([]);
    expect(await look()).toBe(before);
  });

  test('is all or nothing when any tool fails, and leaves nothing behind', async () => {
    await makeHost();
    const before = await look();
    const seen = await everyStep('fail', async (outcome) => {
      if (outcome === 'applied') return;
      expect(await look()).toBe(before);
      expect(await readdir(scratch)).not.toContain('backups');
    });
    expect(seen.steps).toBeGreaterThan(20);
    expect([...seen.outcomes].sort()).toEqual([
      'applied',
      'live.backup-failed',
      'live.not-writable',
      'live.undone',
      'live.unproven',
    ]);
  });

  test('goes on to its end when the connection is cut, whatever it is doing', async () => {
    await makeHost();
    expect(await apply(QUIET)).toBe('applied');
    const after = await look();
    await makeHost();
    expect(await apply({ fault: 'cut', step: 0 })).toBe('applied');
    expect(await look()).toBe(after);
  });

  test('has no file that is half there when it is killed at any step, and can be undone then', async () => {
    await makeHost();
    const before = await look();
    expect(await apply(QUIET)).toBe('applied');
    const states = new Set([...filesOf(before), ...filesOf(await look())]);
    let undone = 0;
    await everyStep('kill', async (outcome) => {
      if (outcome === 'applied') return;
      for (const line of filesOf(await look())) expect(states).toContain(line);
      if (!(await readdir(scratch)).includes('backups') || (await readdir(base)).length === 0) return;
      // Nothing else is applied until this is undone.
      if (undone === 5) expect(await apply(QUIET)).toBe('live.unfinished');
      await rollback();
      expect(await look()).toBe(before);
      undone += 1;
    });
    expect(undone).toBeGreaterThan(15);
  });

  test('changes nothing when its data does not arrive whole', async () => {
    await makeHost();
    const before = await look();
    for (const input of [1, 500, 3_000, 5_000, 5_300, 5_400]) {
      expect(await apply({ ...QUIET, input })).toMatch(/^live\.(backup-failed|unproven)$/);
      expect(await look()).toBe(before);
      expect(await readdir(scratch)).not.toContain('backups');
    }
  });

  test('does not overwrite what somebody has changed: neither when it is applied nor when it is undone', async () => {
    await makeHost();
    await writeFile(join(host, 'etc/fstab'), 'mine\n');
    const before = await look();
    const late = applyChanges(localShell(QUIET), changes, { id: ID, digest: '', base });
    await expect(late).rejects.toMatchObject({
      code: 'live.changed',
      message: expect.stringContaining('etc/fstab'),
    });
    expect(await look()).toBe(before);

    await makeHost();
    expect(await apply(QUIET)).toBe('applied');
    await writeFile(join(host, 'etc/fstab'), 'mine again\n');
    const mine = await look();
    await expect(rollback()).rejects.toMatchObject({ code: 'live.changed' });
    expect(await look()).toBe(mine);
    await run('sh', [join(base, ID, 'restore'), '--keep-changed']);
    expect(await readFile(join(host, 'etc/fstab'), 'utf8')).toBe('mine again\n');
    expect(await readFile(join(host, 'etc/gone'), 'utf8')).toBe('to be removed\n');
  });

  test('is undone whole or not at all when any tool fails, and later if it was killed at any step', async () => {
    await makeHost();
    const before = await look();
    expect(await apply(QUIET, ofEachKind())).toBe('applied');
    const after = await look();
    const states = new Set([...filesOf(before), ...filesOf(after)]);
    await run('sh', ['-ec', 'cp -a -- "$1" "$1.saved" && cp -a -- "$2" "$2.saved"', 'sh', host, base]);
    const script = join(base, ID, 'restore');
    for (const fault of ['fail', 'kill'] as const) {
      let failed = 0;
      for (let step = 1, isDone = false; !isDone; step++) {
        if (step > 200) throw new Error('there is no end of steps');
        await run('sh', [
          '-ec',
          'rm -rf -- "$1" "$2"; cp -a -- "$1.saved" "$1"; cp -a -- "$2.saved" "$2"',
          ...['sh', host, base],
        ]);
        const text = await readFile(script, 'utf8');
        await writeFile(script, text.replace('\nPATH=', `\nPATH=${scratch}/tools:`));
        await writeFile(join(scratch, 'count'), '0');
        const env = { LIVE_FAULT: fault, LIVE_STEP: String(step) };
        const outcome = await run('sh', [script], { env, okCodes: [0, 52] }).then(
          ({ code }) => code,
          () => 'killed',
        );
        isDone = Number(await readFile(join(scratch, 'count'), 'utf8')) < step;
        if (isDone) expect(outcome).toBe(0);
        else failed += 1;
        const now = await look();
        for (const line of filesOf(now)) expect(states).toContain(line);
        if (fault === 'fail') expect(now).not.toContain('.hyper2kvm-');
        // The first copy fails before anything is replaced.
        if (step === 1) expect(filesOf(now)).toEqual(expect.arrayContaining(filesOf(after)));
        await run('sh', [script], { env: { LIVE_STEP: '0' } });
        expect(await look()).toBe(before);
        expect(await readdir(join(base, ID))).toContain('restored');
      }
      expect(failed).toBeGreaterThan(10);
    }
  });

  test('says that it could not be undone when the room for the old files is gone', async () => {
    await makeHost();
    expect(await apply(QUIET)).toBe('applied');
    const after = await look();
    // A copy that cannot be made, as on a full disk.
    await rm(join(base, ID, '1'));
    await expect(rollback()).rejects.toMatchObject({
      code: 'live.not-restored',
      message: expect.stringContaining("boot/it's an initrd could not be copied back"),
    });
    expect(await look()).toBe(after);
  });

  test('refuses an immutable file before anything is changed', async () => {
    await makeHost();
    await run('chattr', ['+i', join(host, 'etc/fstab')]);
    try {
      const before = await look();
      expect(await apply(QUIET)).toBe('live.not-writable');
      expect(await look()).toBe(before);
    } finally {
      await run('chattr', ['-i', join(host, 'etc/fstab')]);
    }
  });

  test('refuses a directory for backups that others may enter', async () => {
    await makeHost();
    await mkdir(base, { mode: 0o755 });
    expect(await apply(QUIET)).toBe('live.not-writable');
  });
});

/** One that is replaced, a new one in a new directory, one that is removed. */
const ofEachKind = () => changes.filter((_, index) => [0, 2, 4].includes(index));

/** Applies once for each step, on a fresh host, until no step is left to interrupt. */
async function everyStep(
  fault: Fault['fault'],
  check: (outcome: string) => Promise<void>,
): Promise<{ steps: number; outcomes: Set<string> }> {
  const outcomes = new Set<string>();
  for (let step = 1; ; step++) {
    await makeHost();
    const outcome = await apply({ fault, step }, ofEachKind());
    outcomes.add(outcome);
    const count = Number(await readFile(join(scratch, 'count'), 'utf8'));
    await check(outcome);
    if (count < step) return { steps: step - 1, outcomes };
    if (step > 200) throw new Error('there is no end of steps');
  }
}

/** Lines of `look` that tell the content of a file under its own name. */
const filesOf = (text: string) =>
  text.split('\n').filter((line) => /^[0-9a-f]{64} /.test(line) && !line.includes('.hyper2kvm-'));
