import { describe, expect, test } from 'vitest';
import type { JobDetail } from '../../../src/api/protocol.js';
import type { Report } from '../../../src/report/report.js';
import { progressLine, stageLines, verdictText } from '../../lab/quickstart-text.ts';

const job: JobDetail = {
  job: '01J',
  vm: 'debian12',
  drop: 'debian12.vmdk',
  state: 'running',
  stage: 'convert',
  percent: 50.7,
  bytes_per_second: 123_000_000,
  eta_seconds: 4.2,
  waiting_for: null,
  priority: 0,
  created_at: '2025-01-01T00:00:00.000Z',
  updated_at: '2025-01-01T00:00:00.000Z',
  started_at: null,
  finished_at: null,
  error: null,
  directory: null,
  stages: [],
  checkpoint: { completed_stages: [], current_stage: null, resume_from: null, timestamp: null },
  plan: null,
  boot: null,
};
const report = {
  start: {
    libvirt: ['virsh define /spool/archive/x/debian12.xml'],
    qemu: 'qemu-system-x86_64 -machine q35',
  },
} as unknown as Report;

describe('progressLine', () => {
  test('shows stage, percent, rate and time left', () => {
    expect(progressLine(job)).toBe('CONVERT   [############............]  50 %  123 MB/s  5 s left');
  });

  test('says what a drop without a stage waits for', () => {
    expect(progressLine({ ...job, state: 'waiting', stage: null, waiting_for: 'settling, 2 s' })).toBe(
      'waiting: waits for settling, 2 s',
    );
  });
});

test('stageLines leaves out what has not ended', () => {
  const record = {
    attempts: 1,
    bytes_read: 0,
    bytes_written: 0,
    appliance_launches: 0,
    error: null,
    started_at: null,
    finished_at: null,
  };
  const stages: JobDetail['stages'] = [
    { ...record, stage: 'fetch', status: 'completed', seconds: 0.04 },
    { ...record, stage: 'flatten', status: 'running', seconds: 1 },
  ];
  expect(stageLines({ ...job, stages })).toEqual(['FETCH     completed, 0.0 s']);
});

describe('verdictText', () => {
  test('gives boot, bundle and the commands that start the VM', () => {
    const text = verdictText(
      {
        ...job,
        state: 'converted',
        directory: '/spool/archive/x',
        boot: { verdict: 'booted', level: 'login', seconds: 61.2, accelerator: 'tcg', warnings: [] },
      },
      report,
    );
    expect(text).toContain('Verdict: converted, booted to login in 61 s (tcg)\nBundle:  /spool/archive/x\n');
    expect(text.split('\n').slice(-3)).toEqual([
      '  qemu-system-x86_64 -machine q35',
      'or with libvirt:',
      '  virsh define /spool/archive/x/debian12.xml',
    ]);
  });

  test('gives the reason and the advice of a failure', () => {
    const error = {
      code: 'inspect.no-os',
      message: 'No OS.',
      advice: 'Data disk?',
      retryable: false,
      causes: [],
    };
    const text = verdictText({ ...job, state: 'failed', error, directory: '/f' }, undefined);
    expect(text).toBe('Verdict: failed\ninspect.no-os: No OS.\nData disk?\nEverything about it: /f');
  });
});
