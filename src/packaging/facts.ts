import { run } from '../tools/run.js';
import { hyper2kvmVersion } from '../tools/versions.js';
import { foreignLibraries, newestGlibc } from './control.js';

export interface PackageFacts {
  version: string;
  nodeVersion: string;
  /** The oldest glibc that the bundled binaries run on: `2.34`. */
  glibc: string;
  /**
   * Timestamp of every file in the package, in seconds since 1970
   * (https://reproducible-builds.org/specs/source-date-epoch/).
   */
  epoch: number;
}

/**
 * Returns the package's own metadata. `binaries` are the ELF files in it. Errors: `tool.*`; an Error if this
 * Node cannot be bundled.
 */
export async function packageFacts(repository: string, binaries: readonly string[]): Promise<PackageFacts> {
  const needs = await Promise.all(binaries.map((file) => readelf('--version-info', file)));
  const foreign = foreignLibraries(await readelf('--dynamic', process.execPath));
  if (foreign.length > 0)
    throw new Error(
      `${process.execPath} needs ${foreign.join(', ')}: build with Node from nodejs.org or NodeSource, which is self-contained`,
    );
  return {
    version: hyper2kvmVersion(),
    nodeVersion: process.versions.node,
    glibc: newestGlibc(needs.join('\n')),
    epoch: await sourceEpoch(repository),
  };
}

async function readelf(what: string, file: string): Promise<string> {
  const { stdout } = await run('readelf', ['--wide', what, file]);
  return stdout.toString('utf8');
}

/** Returns `$SOURCE_DATE_EPOCH`, otherwise the time of the last commit. */
async function sourceEpoch(repository: string): Promise<number> {
  const given = Number(process.env.SOURCE_DATE_EPOCH);
  if (Number.isInteger(given) && given > 0) return given;
  const { stdout } = await run('git', ['-C', repository, 'log', '-1', '--format=%ct']);
  return Number(stdout.toString('utf8'));
}
