import { describe, expect, it } from 'vitest';
import { Board } from '../../../src/daemon/live-progress.js';

describe('Board', () => {
  it('estimates what is left of a stage from its percent, and forgets it with the next stage', () => {
    let now = 100;
    const board = new Board(() => now);
    board.apply('j', { type: 'stage-waiting', stage: 'convert', lane: 'conversions' });
    expect(board.get('j')).toMatchObject({ stage: 'convert', waitingFor: 'a free conversions lane' });
    now = 200;
    board.apply('j', { type: 'stage-started', stage: 'convert', attempt: 1 });
    now = 230;
    board.apply('j', { type: 'progress', stage: 'convert', progress: { percent: 25, bytesPerSecond: 5 } });
    expect(board.get('j')).toMatchObject({
      percent: 25,
      bytesPerSecond: 5,
      etaSeconds: 90,
      waitingFor: null,
    });
    board.apply('j', { type: 'stage-started', stage: 'validate', attempt: 1 });
    expect(board.get('j')).toMatchObject({ stage: 'validate', percent: null, etaSeconds: null });
    board.remove('j');
    expect(board.get('j')).toBeNull();
  });
});
