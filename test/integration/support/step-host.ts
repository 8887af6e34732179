import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { errorRecord } from '#hyper2kvm/errors/error.js';
import { applyChanges, restoreBackup } from '#hyper2kvm/ssh/apply-changes.js';
import type { Change, NewContent } from '#hyper2kvm/ssh/changes.js';
import { locate } from '#hyper2kvm/ssh/file-state.js';
import type { RemoteShell } from '#hyper2kvm/ssh/shell.js';
import { run } from '#hyper2kvm/tools/run.js';

export const ID = '20260301T090000Z-1a2b3c';
/** Of these, each call is a step. */
const TOOLS = ['cp', 'mv', 'sync', 'touch', 'mkdir', 'head'];
const MOST_STEPS = 200;

/** What happens before a step: `full` fills the host's filesystem, and the step is done all the same. */
export interface Fault {
  fault: 'none' | 'kill' | 'cut' | 'fail' | 'full';
  step: number;
  /** Bytes of the input that arrive. */
  input?: number;
}
export const QUIET: Fault = { fault: 'none', step: 0 };

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

/**
 * A directory that stands for a host, on which scripts are interrupted at each of their steps. They run here,
 * without SSH.
 */
export class StepHost {
  readonly scratch: string;
  /** The directory with what is the host's; it may be a filesystem of its own. */
  readonly place: string;
  readonly root: string;
  /** The backups of the host. */
  readonly base: string;
  changes: readonly Change[] = [];

  private constructor(scratch: string) {
    this.scratch = scratch;
    this.place = join(scratch, 'place');
    this.root = join(this.place, 'host');
    this.base = join(this.place, 'backups');
  }

  /** `imageMib`: the size of a filesystem of its own. */
  static async create({ imageMib }: { imageMib?: number } = {}): Promise<StepHost> {
    const made = new StepHost(await mkdtemp(join(tmpdir(), 'h2k-live-faults-')));
    await mkdir(made.place);
    if (imageMib !== undefined) {
      const image = join(made.scratch, 'disk.img');
      await run('mke2fs', ['-q', '-t', 'ext4', '-b', '1024', '-m', '0', image, `${imageMib}M`]);
      // Without barriers: no power is lost here, and each sync would wait for this machine's disk.
      await run('mount', ['-o', 'loop,barrier=0', image, made.place]);
      await rm(join(made.place, 'lost+found'), { recursive: true });
    }
    await mkdir(join(made.scratch, 'tools'));
    for (const tool of TOOLS) {
      const { stdout } = await run('sh', ['-c', `command -v ${tool}`]);
      const file = join(made.scratch, 'tools', tool);
      await writeFile(file, made.interrupting(stdout.toString('utf8').trim()));
      await chmod(file, 0o755);
    }
    await made.makeFirst();
    return made;
  }

  async remove(): Promise<void> {
    await run('umount', [this.place], { okCodes: [0, 32] });
    await rm(this.scratch, { recursive: true, force: true });
  }

  /**
   * A tool that counts its calls, and interrupts the script that calls it before the one of number `$LIVE_STEP`;
   * a cut is noticed at every step.
   */
  private interrupting(program: string): string {
    return `#!/bin/sh
n=$(($(cat ${this.scratch}/count) + 1))
echo "$n" > ${this.scratch}/count
printf '%s\\n' "$*" >> ${this.scratch}/arguments
if [ "$n" = "$LIVE_STEP" ]; then
  case $LIVE_FAULT in
    kill) kill -KILL "$PPID"; exit 1 ;;
    fail) echo "No space left on device" >&2; exit 1 ;;
    full) ${this.filling()} ;;
  esac
fi
if [ "$LIVE_FAULT" = cut ]; then kill -HUP "$PPID"; kill -PIPE "$PPID"; fi
exec ${program} "$@"
`;
  }

  /** Once more by blocks: a larger write that has no room is not made at all. */
  private filling(): string {
    return `for size in 64k 1k; do dd if=/dev/zero bs=$size oflag=append conv=notrunc of=${this.place}/filler 2> /dev/null || :; done`;
  }

  /** Fills the filesystem, which is then without a free block. */
  async fill(): Promise<void> {
    await run('sh', ['-c', this.filling()]);
  }

  async free(): Promise<void> {
    await rm(join(this.place, 'filler'), { force: true });
  }

  /** Runs scripts here; `fault` happens to those with an input. */
  shell({ fault, step, input: arrives }: Fault): RemoteShell {
    return {
      run: async (script, { input = new Uint8Array() } = {}) => {
        const isApply = input.length > 0;
        const tools = isApply ? `PATH=${this.scratch}/tools:$PATH; export PATH\n` : '';
        const env = { ...process.env, LIVE_FAULT: fault, LIVE_STEP: String(step), LC_ALL: 'C' };
        await writeFile(join(this.scratch, 'count'), '0');
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

  /** The host as it was before; made once and then copied. */
  async make(): Promise<void> {
    await this.copyFrom(join(this.scratch, 'first'), null);
  }

  /** Keeps what is there now, host and backups, for `load`. */
  async save(): Promise<void> {
    await run('cp', ['-a', '--', this.root, this.base, join(this.scratch, 'saved')]);
  }

  async load(): Promise<void> {
    const saved = join(this.scratch, 'saved');
    await this.copyFrom(join(saved, 'host'), join(saved, 'backups'));
  }

  private async copyFrom(root: string, base: string | null): Promise<void> {
    await this.free();
    await run('rm', ['-rf', '--', this.root, this.base]);
    await run('cp', ['-a', '--', root, this.root]);
    if (base !== null) await run('cp', ['-a', '--', base, this.base]);
  }

  private async makeFirst(): Promise<void> {
    const host = this.root;
    await mkdir(join(host, 'etc'), { recursive: true });
    await mkdir(join(host, 'boot'));
    await writeFile(join(host, 'etc/fstab'), '/dev/sda1 / ext4\n');
    await writeFile(join(host, 'etc/gone'), 'to be removed\n');
    await symlink('/old', join(host, 'etc/link'));
    await writeFile(join(host, "boot/it's an initrd"), Buffer.alloc(10_000, 'i'));
    await run('setfattr', ['-n', 'user.note', '-v', 'kept', join(host, 'etc/fstab')]);
    await run('setfacl', ['-m', 'u:daemon:rw', join(host, 'etc/fstab')]);
    // What a new file of the directory gets is not what the old one has.
    await run('setfacl', ['-d', '-m', 'u:games:rwx', join(host, 'boot')]);
    await run('chown', ['1:2', join(host, 'etc/fstab')]);
    await run('chown', ['-h', '3:4', join(host, 'etc/link')]);
    await run('mkdir', [join(this.scratch, 'saved')]);
    this.changes = await this.makeChanges();
    await run('cp', ['-a', '--', host, join(this.scratch, 'first')]);
  }

  private async makeChanges(): Promise<Change[]> {
    const change = async (path: string, after: Change['after']): Promise<Change> => {
      const { state, ...place } = await locate(this.shell(QUIET), join(this.root, path), { follow: false });
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
        file({ kind: 'copy', from: join(this.root, 'etc/gone') }, Buffer.from('to be removed\n')),
      ),
      await change('etc/gone', { type: 'absent' }),
      await change('etc/link', { type: 'symlink', target: '/new' }),
    ];
  }

  /** One that is replaced, a new one in a new directory, one that is removed. */
  ofEachKind(): Change[] {
    return this.changes.filter((_, index) => [0, 2, 4].includes(index));
  }

  /** A larger one that is appended to, a new one in a new directory, a link. */
  othersOfEachKind(): Change[] {
    return this.changes.filter((_, index) => [1, 2, 5].includes(index));
  }

  /** Everything on the host, with all that belongs to it. */
  async look(): Promise<string> {
    const { stdout } = await run('sh', [
      '-c',
      'cd "$1" && find . -printf "%p %y %m %U %G %l\\n" | sort && find . -type f -exec sha256sum {} + | sort && find . ! -type l -print0 | sort -z | xargs -0 sh -c \'getfattr -d -m - -e hex -- "$@" && getfacl -p -- "$@"\' sh',
      'sh',
      this.root,
    ]);
    return stdout.toString('utf8').replace(/^(\.|\.\/etc|\.\/boot) d .*$/gm, '$1 d');
  }

  /** Returns `applied`, or the code of the error. */
  async apply(fault: Fault, some: readonly Change[] = this.changes): Promise<string> {
    return applyChanges(this.shell(fault), some, { id: ID, digest: 'sha256:0', base: this.base }).then(
      () => 'applied',
      (error: unknown) => errorRecord(error).code,
    );
  }

  rollback(): Promise<string[]> {
    return restoreBackup(this.shell(QUIET), { id: ID, base: this.base });
  }

  /** Applies once for each step, on a fresh host, until no step is left to interrupt. */
  async everyStep(
    fault: Fault['fault'],
    check: (outcome: string) => Promise<void>,
    some: readonly Change[] = this.ofEachKind(),
  ): Promise<{ steps: number; outcomes: Set<string> }> {
    const outcomes = new Set<string>();
    for (let step = 1; step < MOST_STEPS; step++) {
      await this.make();
      const outcome = await this.apply({ fault, step }, some);
      outcomes.add(outcome);
      const count = await this.count();
      await check(outcome);
      if (count < step) return { steps: step - 1, outcomes };
    }
    throw new Error('there is no end of steps');
  }

  /**
   * Puts the saved backup back once for each step, by hand, until no step is left to interrupt. `check` gets the
   * exit code, null for a script that was killed. Returns the number of steps.
   */
  async everyStepBack(
    fault: Fault['fault'],
    check: (code: number | null, step: number) => Promise<void>,
  ): Promise<number> {
    const script = join(this.base, ID, 'restore');
    for (let step = 1; step < MOST_STEPS; step++) {
      await this.load();
      const text = await readFile(script, 'utf8');
      await writeFile(script, text.replace('\nPATH=', `\nPATH=${this.scratch}/tools:`));
      await writeFile(join(this.scratch, 'count'), '0');
      const env = { LIVE_FAULT: fault, LIVE_STEP: String(step) };
      const code = await run('sh', [script], { env, okCodes: [0, 52] }).then(
        (ended) => ended.code,
        () => null,
      );
      const isDone = (await this.count()) < step;
      await check(code, step);
      if (isDone) return step - 1;
    }
    throw new Error('there is no end of steps');
  }

  /** Puts the backup back by hand, without a fault. */
  async restore(...args: string[]): Promise<void> {
    await run('sh', [join(this.base, ID, 'restore'), ...args], { env: { LIVE_STEP: '0' } });
  }

  private async count(): Promise<number> {
    return Number(await readFile(join(this.scratch, 'count'), 'utf8'));
  }
}

/** Lines of `look` that tell the content of a file under its own name. */
export const filesOf = (text: string) =>
  text.split('\n').filter((line) => /^[0-9a-f]{64} /.test(line) && !line.includes('.hyper2kvm-'));
