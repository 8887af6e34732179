import type { JobDetail, JobSummary } from '../../../src/api/protocol.js';
import { createIo, type Io } from '../../../src/commands/io.js';
import { main } from '../../../src/commands/main.js';

export interface Ran {
  code: number;
  out: string;
  err: string;
}

/** An Io whose output is kept. */
export function recordingIo(
  settings: { terminal?: boolean; columns?: number; env?: Record<string, string> } = {},
): {
  io: Io;
  out(): string;
  err(): string;
} {
  const texts = { out: '', err: '' };
  const stream = (name: 'out' | 'err') => ({
    write(text: string) {
      texts[name] += text;
    },
    isTTY: settings.terminal === true,
    columns: settings.columns,
  });
  const io = createIo(stream('out'), stream('err'), settings.env ?? {});
  return { io, out: () => texts.out, err: () => texts.err };
}

/** Runs a command line as the program does. */
export async function cli(args: string[], settings: Parameters<typeof recordingIo>[0] = {}): Promise<Ran> {
  const { io, out, err } = recordingIo(settings);
  const code = await main(args, io);
  return { code, out: out(), err: err() };
}

export function summary(changes: Partial<JobSummary> = {}): JobSummary {
  return {
    job: '01k9xw3v5qabc',
    vm: 'web01',
    drop: 'web01.vmdk',
    state: 'queued',
    stage: null,
    percent: null,
    bytes_per_second: null,
    eta_seconds: null,
    waiting_for: null,
    priority: 0,
    created_at: '2026-05-04T10:00:00.000Z',
    updated_at: '2026-05-04T10:00:00.000Z',
    started_at: null,
    finished_at: null,
    error: null,
    directory: null,
    boot: null,
    ...changes,
  };
}

export function detail(changes: Partial<JobDetail> = {}): JobDetail {
  return {
    ...summary(),
    stages: [],
    checkpoint: { completed_stages: [], current_stage: null, resume_from: 'fetch', timestamp: null },
    plan: null,
    boot: null,
    ...changes,
  };
}
