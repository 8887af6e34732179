import type { JobDetail, JobSummary } from '#hyper2kvm/api/protocol.js';
import type { Report } from '#hyper2kvm/report/report.js';

/** What the quickstart shows of a job that is not finished: one line without its end. */
export function progressLine(job: JobSummary): string {
  const waiting = job.waiting_for === null ? '' : `waits for ${job.waiting_for}`;
  if (job.stage === null) return waiting === '' ? job.state : `${job.state}: ${waiting}`;
  const parts = [job.stage.toUpperCase().padEnd(8)];
  if (job.percent !== null)
    parts.push(`${bar(job.percent)} ${String(Math.floor(job.percent)).padStart(3)} %`);
  if (job.bytes_per_second !== null) parts.push(`${(job.bytes_per_second / 1e6).toFixed(0)} MB/s`);
  if (job.eta_seconds !== null) parts.push(`${Math.ceil(job.eta_seconds)} s left`);
  if (waiting !== '') parts.push(waiting);
  return parts.join('  ');
}

/** The stages that have ended, one line each. */
export function stageLines(job: JobDetail): string[] {
  return job.stages
    .filter(({ status }) => status !== 'running' && status !== 'pending')
    .map(
      ({ stage, status, seconds }) => `${stage.toUpperCase().padEnd(8)}  ${status}, ${seconds.toFixed(1)} s`,
    );
}

/** The end of the quickstart: verdict, where the bundle is, how to start the VM. */
export function verdictText(job: JobDetail, report: Report | undefined): string {
  if (job.state !== 'converted' || report === undefined) {
    return [
      `Verdict: ${job.state}`,
      ...(job.error === null ? [] : [`${job.error.code}: ${job.error.message}`, job.error.advice]),
      ...(job.directory === null ? [] : [`Everything about it: ${job.directory}`]),
    ].join('\n');
  }
  const lines = [`Verdict: converted${bootText(job)}`, `Bundle:  ${job.directory}`];
  const { start } = report;
  if (start === null) return lines.join('\n');
  return [
    ...lines,
    '',
    'Start it (its screen is a VNC server, its first serial port this terminal; Ctrl-A X ends it):',
    `  ${start.qemu}`,
    'or with libvirt:',
    ...start.libvirt.map((line) => `  ${line}`),
  ].join('\n');
}

function bootText(job: JobDetail): string {
  if (job.boot === null) return ' (boot not tried)';
  const { verdict, level, seconds, accelerator, warnings } = job.boot;
  const lacking = warnings.map(({ code, message }) => `\n  ${code}: ${message}`);
  const said = lacking.length === 0 ? '' : `, with warnings:${lacking.join('')}`;
  return `, ${verdict} to ${level} in ${seconds.toFixed(0)} s (${accelerator})${said}`;
}

function bar(percent: number): string {
  const width = 24;
  const filled = Math.round((Math.min(100, Math.max(0, percent)) / 100) * width);
  return `[${'#'.repeat(filled)}${'.'.repeat(width - filled)}]`;
}
