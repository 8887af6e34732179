import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from '../../../src/tools/run.js';
import { mountOverlay, Nspawn, unmountOverlay } from './nspawn.js';

const REPOSITORY = fileURLToPath(new URL('../../..', import.meta.url));
/** Where the repository is in the machine. */
const INSTALLED = '/opt/hyper2kvm';
/** Node in the machine. */
export const NODE = `${INSTALLED}/node_modules/.bin/node`;
const UNIT = 'hyper2kvm.service';
export const FETCH_UNIT = 'hyper2kvm-fetch.service';
const UNITS = 'etc/systemd/system';

/** One line of the journal as `journalctl -o json` gives it. */
export interface JournalEntry {
  MESSAGE: string;
  PRIORITY: string;
  __MONOTONIC_TIMESTAMP: string;
  _UID?: string;
}

/**
 * Real systemd on an overlay of this host's root, with the unit, its user and its directories installed as on
 * any machine. Only what the unit needs is started beside it. Needs root.
 */
export class Machine {
  /** The machine's /var/spool/hyper2kvm, from outside. */
  readonly spool: string;
  readonly #base: string;
  readonly #root: string;
  #nspawn: Nspawn | undefined;

  private constructor(base: string) {
    this.#base = base;
    this.#root = join(base, 'overlay', 'root');
    this.spool = join(base, 'spool');
  }

  /** `dropIn`: lines for the unit's [Service]; `toml`: its configuration. */
  static async boot(settings: { dropIn: string; toml: string }): Promise<Machine> {
    const machine = new Machine(mkdtempSync(join(tmpdir(), 'h2k-machine-')));
    try {
      await machine.#install(settings);
      await machine.#start();
      return machine;
    } catch (error) {
      await machine.destroy();
      throw error;
    }
  }

  async #install({ dropIn, toml }: { dropIn: string; toml: string }): Promise<void> {
    mkdirSync(this.spool);
    await mountOverlay(this.#base, '/');

    const unitDirectory = this.#inside(UNITS);
    const source = (name: string) => join(REPOSITORY, 'systemd', name);
    for (const name of [UNIT, FETCH_UNIT, 'hyper2kvm.slice'])
      copyFileSync(source(name), join(unitDirectory, name));
    this.dropIn('test.conf', dropIn);
    const target = `[Unit]\nRequires=basic.target\nWants=${UNIT}\nAfter=basic.target\nAllowIsolate=yes\n`;
    writeFileSync(join(unitDirectory, 'h2k-test.target'), target);
    rmSync(join(unitDirectory, 'default.target'), { force: true });
    symlinkSync('h2k-test.target', join(unitDirectory, 'default.target'));
    copyFileSync(source('hyper2kvm.sysusers.conf'), join(this.#inside('etc/sysusers.d'), 'hyper2kvm.conf'));
    copyFileSync(source('hyper2kvm.tmpfiles.conf'), join(this.#inside('etc/tmpfiles.d'), 'hyper2kvm.conf'));
    this.configure(toml);
    symlinkSync(`${INSTALLED}/dist/hyper2kvm`, join(this.#inside('usr/bin'), 'hyper2kvm'));
    await run('systemd-sysusers', [`--root=${this.#root}`, 'hyper2kvm.conf']);
    rmSync(join(this.#root, 'etc/machine-id'), { force: true });
    this.#inside('var/log/journal');
  }

  #inside(directory: string): string {
    const path = join(this.#root, directory);
    mkdirSync(path, { recursive: true });
    return path;
  }

  /** Where `systemctl edit` puts its files, from outside. */
  get dropIns(): string {
    return this.#inside(`${UNITS}/${UNIT}.d`);
  }

  /** Lines for a unit's [Service]. */
  dropIn(name: string, lines: string, unit = UNIT): void {
    writeFileSync(join(this.#inside(`${UNITS}/${unit}.d`), name), `[Service]\n${lines}\n`);
  }

  /**
   * Puts a program into the machine; the one that was there is then called `.real`. Returns what puts it
   * back.
   */
  program(path: string, content: string): () => void {
    const file = join(this.#root, path);
    const isThere = existsSync(file);
    if (isThere) renameSync(file, `${file}.real`);
    writeFileSync(file, content, { mode: 0o755 });
    return () => {
      if (isThere) renameSync(`${file}.real`, file);
      else rmSync(file);
    };
  }

  /** Stores a secret of a connection. */
  credential(name: string, text: string): void {
    writeFileSync(join(this.#inside('etc/hyper2kvm/credentials'), name), text, { mode: 0o600 });
  }

  configure(toml: string): void {
    writeFileSync(join(this.#inside('etc/hyper2kvm'), 'config.toml'), toml);
  }

  async #start(): Promise<void> {
    const binds = [`--bind-ro=${REPOSITORY}:${INSTALLED}`, `--bind=${this.spool}:/var/spool/hyper2kvm`];
    this.#nspawn = await Nspawn.boot(
      this.#root,
      binds,
      async (nspawn) =>
        (await nspawn.inside('systemctl', 'show', '--value', '-p', 'ActiveState', UNIT)).stdout.trim() ===
        'active',
    );
  }

  /** Runs a program in the machine, as its root. */
  inside(...command: string[]): Promise<{ stdout: string; code: number }> {
    if (this.#nspawn === undefined) throw new Error('the machine is not booted');
    return this.#nspawn.inside(...command);
  }

  async property(name: string, unit = UNIT): Promise<string> {
    return (await this.inside('systemctl', 'show', '--value', '-p', name, unit)).stdout.trim();
  }

  /** Returns the unit's lines so far. The journal takes its time to write what it was sent: it is asked to. */
  journal(...filter: string[]): Promise<JournalEntry[]> {
    return this.journalOf(UNIT, ...filter);
  }

  async journalOf(unit: string, ...filter: string[]): Promise<JournalEntry[]> {
    await this.inside('journalctl', '--sync');
    const { stdout } = await this.inside('journalctl', '-u', unit, '-o', 'json', '--no-pager', ...filter);
    return stdout
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as JournalEntry);
  }

  async destroy(): Promise<void> {
    await this.#nspawn?.stop();
    await unmountOverlay(this.#base);
    rmSync(this.#base, { recursive: true, force: true });
  }
}
