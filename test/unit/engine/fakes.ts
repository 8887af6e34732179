import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { onTestFinished } from 'vitest';
import { z } from 'zod';
import { configSchema, type JobOptions, jobOptionsSchema } from '../../../src/config/schema.js';
import { PipelineLanes } from '../../../src/engine/lanes.js';
import { MemoryCheckpointStore } from '../../../src/engine/memory-store.js';
import type { Stage, StageContext } from '../../../src/engine/stage.js';
import type { PipelineEvent, PipelineRequest } from '../../../src/engine/types.js';

export const noGuest = async () => {
  throw new Error('no guest in this test');
};

export const silent = pino({ level: 'silent' });

export function testOptions(config: Record<string, unknown> = {}, kind: 'vm' | 'data' = 'vm'): JobOptions {
  return jobOptionsSchema.parse({
    kind,
    config: configSchema.parse({ retry: { attempts: 4, backoff_seconds: 0 }, ...config }),
  });
}

/**
 * A stage whose output is `{ by: <name>, run: <how often it ran> }` unless `act` says otherwise; `ran` gets
 * each run's name.
 */
export function testStage(
  name: string,
  ran: string[],
  extra: Partial<Stage> & { act?: (context: StageContext, input: unknown) => Promise<unknown> } = {},
): Stage {
  const { act, ...rest } = extra;
  let runs = 0;
  return {
    name,
    version: 1,
    input: z.record(z.string(), z.unknown()),
    output: z.object({ by: z.string(), run: z.int() }),
    dependsOn: () => null,
    async run(context, input) {
      ran.push(name);
      runs += 1;
      return (await act?.(context, input)) ?? { by: name, run: runs };
    },
    ...rest,
  };
}

export function testRequest(
  extra: Partial<PipelineRequest> = {},
): PipelineRequest & { events: PipelineEvent[] } {
  const directory = mkdtempSync(join(tmpdir(), 'h2k-pipeline-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  writeFileSync(join(directory, 'disk.raw'), 'data');
  const events: PipelineEvent[] = [];
  return {
    job: { id: 'j1', vm: 'web01' },
    options: testOptions(),
    workDirectory: directory,
    source: { directory, entries: ['disk.raw'] },
    priority: 0,
    signal: new AbortController().signal,
    log: silent,
    store: new MemoryCheckpointStore(),
    lanes: new PipelineLanes({ appliances: 1, conversions: 1, boots: 1 }),
    reserve: async () => {},
    onEvent: (event) => void events.push(event),
    events,
    ...extra,
  };
}
