import { jobOptions } from '../config/load.js';
import type { Config } from '../config/schema.js';
import { type ErrorRecord, errorRecord, Hyper2kvmError } from '../errors/error.js';
import type { Drop } from '../model/drop.js';
import type { EntryState } from '../spool/entry-state.js';
import { readOptionsFile } from '../spool/options-file.js';
import { type SpaceNeeds, spaceNeeds } from './space-needs.js';

/** What must be known about a drop before it is claimed. */
interface DropNeeds extends SpaceNeeds {
  /** From its job.toml, otherwise from its own name. */
  vm: string;
  /** Why it will fail without being opened. */
  refused: ErrorRecord | null;
  /** It is the base of a VM that still runs. */
  isWarm: boolean;
}

const NOTHING = { isMoved: true, copies: 0, unpackedBytes: 0, isWarm: false };

/** Reads the drop's job.toml. An error in it is the drop's failure, not the daemon's. */
export async function dropNeeds(
  drop: Drop,
  states: readonly EntryState[],
  config: Config,
  signal: AbortSignal,
): Promise<DropNeeds> {
  const { incoming } = config.spool;
  if (drop.refused !== null) return { ...NOTHING, vm: drop.vm, refused: drop.refused };
  try {
    const text = await readOptionsFile(incoming, drop.options);
    const options = jobOptions(config, text, { file: drop.options ?? 'job.toml' });
    const needs = await spaceNeeds(states, incoming, options.config, signal);
    return { vm: options.vm.name ?? drop.vm, refused: null, isWarm: options.warm, ...needs };
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof Hyper2kvmError)) throw error;
    return { ...NOTHING, vm: drop.vm, refused: errorRecord(error) };
  }
}
