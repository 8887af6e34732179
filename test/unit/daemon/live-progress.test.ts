import { describe, expect, it } from 'vitest';
import { createEvents } from '../../../src/daemon/events.js';
import { LiveProgress } from '../../../src/daemon/live-progress.js';

describe('LiveProgress', () => {
  it('estimates what is left of a stage from its percent, and forgets it with the next stage', () => {
    let now = 100;
    const events = createEvents();
    const told: unknown[] = [];
    events.on('job:progress', (job, { stage, percent }) => told.push([job, stage, percent]));
    const progress = new LiveProgress(events, () => now);
    progress.apply('j', { type: 'stage-waiting', stage: 'convert', lane: 'conversions' });
    expect(progress.get('j')).toMatchObject({ stage: 'convert', waitingFor: 'a free conversion slot' });
    now = 200;
    progress.apply('j', { type: 'stage-started', stage: 'convert', attempt: 1 });
    now = 230;
    progress.apply('j', { type: 'progress', stage: 'convert', progress: { percent: 25, bytesPerSecond: 5 } });
    expect(progress.get('j')).toMatchObject({
      percent: 25,
      bytesPerSecond: 5,
      etaSeconds: 90,
      waitingFor: null,
    });
    progress.apply('j', { type: 'stage-started', stage: 'validate', attempt: 1 });
    expect(progress.get('j')).toMatchObject({ stage: 'validate', percent: null, etaSeconds: null });
    progress.remove('j');
    expect(progress.get('j')).toBeNull();
    expect(told).toEqual([
      ['j', 'convert', null],
      ['j', 'convert', null],
      ['j', 'convert', 25],
      ['j', 'validate', null],
    ]);
  });
});
