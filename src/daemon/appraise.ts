import { jobOptions } from '../config/load.js';
import type { Config } from '../config/schema.js';
import { type ErrorRecord, errorRecord, Hyper2kvmError } from '../errors.js';
import type { Drop } from '../spool/group-types.js';
import { readOptionsFile } from '../spool/options-file.js';
import { isSameFilesystem } from '../spool/publish.js';

/** What has to be known of a drop before it is claimed. */
export interface Appraisal {
  /** Of its job.toml, else of its own name. */
  vm: string;
  /** Why it will fail without being opened. */
  refused: ErrorRecord | null;
  /** Full-size copies that its way through the filesystems costs. */
  copies: number;
}

/** Reads the drop's job.toml. What is wrong with it is the drop's failure, not the daemon's. */
export async function appraise(drop: Drop, config: Config): Promise<Appraisal> {
  const { incoming, work, archive } = config.spool;
  if (drop.refused !== null) return { vm: drop.vm, refused: drop.refused, copies: 0 };
  try {
    const text = await readOptionsFile(incoming, drop.options);
    const options = jobOptions(config, text, { file: drop.options ?? 'job.toml' });
    const copies = [
      !(await isSameFilesystem(incoming, work)),
      !(await isSameFilesystem(work, archive)),
      options.config.flatten.mode === 'copy',
    ].filter(Boolean).length;
    return { vm: options.vm.name ?? drop.vm, refused: null, copies };
  } catch (error) {
    if (!(error instanceof Hyper2kvmError)) throw error;
    return { vm: drop.vm, refused: errorRecord(error), copies: 0 };
  }
}
