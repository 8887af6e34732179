import type { Checkpoint } from '../model/stage-record.js';
import type { CheckpointStore } from './types.js';

/** Checkpoints for a run that is not resumed: `convert`, `inspect`, `plan`. */
export class MemoryCheckpointStore implements CheckpointStore {
  #checkpoints: Checkpoint[] = [];

  load(): Checkpoint[] {
    return [...this.#checkpoints];
  }

  save(checkpoint: Checkpoint): void {
    this.#checkpoints.push(checkpoint);
  }

  truncate(stage: string): void {
    const index = this.#checkpoints.findIndex((checkpoint) => checkpoint.stage === stage);
    if (index !== -1) this.#checkpoints.length = index;
  }
}
