import type { Checkpoint } from '../model/stage-record.js';
import type { CheckpointStore } from './types.js';

/** Checkpoints for a run that is not resumed: `convert`, `inspect`, `plan`. */
export class MemoryCheckpointStore implements CheckpointStore {
  #checkpoints: Checkpoint[] = [];

  async load(): Promise<Checkpoint[]> {
    return [...this.#checkpoints];
  }

  async save(checkpoint: Checkpoint): Promise<void> {
    this.#checkpoints.push(checkpoint);
  }

  async truncate(stage: string): Promise<void> {
    const index = this.#checkpoints.findIndex((checkpoint) => checkpoint.stage === stage);
    if (index !== -1) this.#checkpoints.length = index;
  }
}
