import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { run } from '../../../src/tools/run.js';
import { cleanDebian } from '../../lab/clean-debian.ts';
import { mountOverlay, Nspawn, unmountOverlay } from './nspawn.js';

/**
 * A clean Debian 12 under its own systemd, with a Debian package lying in /root. /var/spool is this host's,
 * as `spool`. Needs root.
 */
export class CleanDebian {
  /** The machine's /var/spool/hyper2kvm, from outside. */
  readonly spool: string;
  readonly root: string;
  /** The package's path inside. */
  readonly deb: string;
  readonly #base: string;
  readonly #nspawn: Nspawn;

  private constructor(base: string, root: string, deb: string, nspawn: Nspawn) {
    this.#base = base;
    this.root = root;
    this.deb = deb;
    this.#nspawn = nspawn;
    this.spool = join(base, 'spool/hyper2kvm');
  }

  static async boot(deb: string): Promise<CleanDebian> {
    const { stdout } = await run('dpkg-deb', ['--field', deb, 'Depends']);
    const packages = stdout
      .toString()
      .trim()
      .split(', ')
      .map((entry) => entry.replace(/ .*/, ''));
    const lower = await cleanDebian(packages.sort());
    const base = mkdtempSync(join(tmpdir(), 'h2k-debian-'));
    try {
      const root = await mountOverlay(base, lower);
      mkdirSync(join(base, 'spool'));
      const inside = join('/root', basename(deb));
      copyFileSync(deb, join(root, inside));
      const nspawn = await Nspawn.boot(root, [`--bind=${base}/spool:/var/spool`], async (booted) =>
        /running|degraded/.test((await booted.inside('systemctl', 'is-system-running')).stdout),
      );
      return new CleanDebian(base, root, inside, nspawn);
    } catch (error) {
      await unmountOverlay(base);
      rmSync(base, { recursive: true, force: true });
      throw error;
    }
  }

  /** A shell command as the machine's root. */
  inside(script: string): Promise<{ stdout: string; stderr: string; code: number }> {
    return this.#nspawn.inside('bash', '-c', script);
  }

  async destroy(): Promise<void> {
    await this.#nspawn.stop();
    await unmountOverlay(this.#base);
    rmSync(this.#base, { recursive: true, force: true });
  }
}
