import { describe, expect, it } from 'vitest';
import { configSchema } from '../../../src/config/schema.js';
import { reloaded } from '../../../src/daemon/reload.js';

describe('reloaded', () => {
  it('applies what can be applied and names what needs a restart', () => {
    const current = configSchema.parse({});
    const wanted = configSchema.parse({
      watch: { settle_seconds: 3 },
      workers: { jobs: 5 },
      log: { level: 'debug' },
    });
    const { config, applied, needRestart } = reloaded(current, wanted);
    expect(applied).toEqual(['log.level', 'watch.settle_seconds']);
    expect(needRestart).toEqual(['workers.jobs']);
    expect(config.watch.settle_seconds).toBe(3);
    expect(config.workers.jobs).toBe(current.workers.jobs);
    expect(current.watch.settle_seconds).toBe(10);
  });
});
