import { z } from 'zod';
import type { ErrorRecord } from '../errors/error.js';
import type { BootSummary } from '../model/job.js';
import type { StageRecord } from '../model/stage-record.js';

/**
 * The control socket speaks HTTP/1.1 with JSON over a unix stream socket. Errors are `{error: ErrorRecord}`
 * with a 4xx or 5xx status.
 *
 *   GET  /v1/status                         Status
 *   GET  /v1/jobs?state=S&name=N&since=ISO  JobSummary[]   newest last, waiting drops included (state `waiting`)
 *   GET  /v1/jobs/ID                        JobDetail      ID: also an unambiguous prefix, or a VM's name (newest)
 *   GET  /v1/jobs/ID/logs?follow=1          NDJSON of log lines
 *   POST /v1/jobs/ID/retry                  {from?: stage, set?: {"fix.initramfs": "rebuild"}} -> JobSummary
 *   POST /v1/jobs/ID/cutover                JobSummary of a parked job, which is queued to run to its end
 *   POST /v1/jobs/ID/cancel                 JobSummary
 *   POST /v1/jobs/ID/priority               {priority: integer, higher first} -> JobSummary
 *   POST /v1/pause  /v1/resume  /v1/drain   Status
 *   GET  /v1/events                         NDJSON of what happens, as it happens: events.ts has the schema
 *   GET  /v1/metrics                        Prometheus' text exposition format
 */
export const JOB_STATES = [
  'waiting',
  'parked',
  'queued',
  'running',
  'converted',
  'failed',
  'cancelled',
] as const;
export type JobState = (typeof JOB_STATES)[number];

const errorSchema = z.object({
  code: z.string(),
  message: z.string(),
  advice: z.string(),
  retryable: z.boolean(),
  causes: z.array(z.string()),
}) satisfies z.ZodType<ErrorRecord>;

const bootSummarySchema = z.object({
  verdict: z.string(),
  level: z.string(),
  seconds: z.number(),
  accelerator: z.string(),
  warnings: z.array(z.object({ code: z.string(), message: z.string() })),
}) satisfies z.ZodType<BootSummary>;

export const jobSummarySchema = z.object({
  /** Empty for a waiting drop, which is not a job yet. */
  job: z.string(),
  vm: z.string(),
  /** The drop's name in incoming. */
  drop: z.string(),
  state: z.enum(JOB_STATES),
  stage: z.string().nullable(),
  percent: z.number().nullable(),
  bytes_per_second: z.number().nullable(),
  eta_seconds: z.number().nullable(),
  /**
   * `settling, 4 s`, `missing disk-s002.vmdk`, `a free boot slot`, `space: 3.0 GiB more under /var/spool`,
   * `warm, base of 2026-01-31 14:02 UTC`.
   * Null if the job is not waiting.
   */
  waiting_for: z.string().nullable(),
  priority: z.number(),
  created_at: z.string(),
  updated_at: z.string(),
  started_at: z.string().nullable(),
  finished_at: z.string().nullable(),
  error: errorSchema.nullable(),
  /** The bundle or the failed directory, once it exists. */
  directory: z.string().nullable(),
  /** The last boot test, also of a job that failed because of it. */
  boot: bootSummarySchema.nullable(),
});
export type JobSummary = z.infer<typeof jobSummarySchema>;

export interface JobDetail extends JobSummary {
  stages: StageRecord[];
  checkpoint: {
    completed_stages: string[];
    current_stage: string | null;
    resume_from: string | null;
    timestamp: string | null;
  };
  /** Number of planned operations, by fixer. */
  plan: Record<string, number> | null;
}

export interface Status {
  version: string;
  pid: number;
  started_at: string;
  state: 'running' | 'paused' | 'draining';
  /** Why the queue is paused: `operator` or `space`; null if it is not. */
  paused_reason: string | null;
  jobs: Record<JobState, number>;
  lanes: Record<string, { running: number; waiting: number; slots: number }>;
  running: JobSummary[];
  accelerator: { kind: 'kvm' | 'tcg'; reason: string } | null;
}

/** The content type of Prometheus' text exposition format. */
export const METRICS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';
