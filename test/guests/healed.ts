import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import { exists } from '../../src/files/exists.js';
import type { Report } from '../../src/report/report.js';
import { run } from '../../src/tools/run.js';
import { readJson } from '../integration/support/daemon.js';

/** Holds the report of a healed guest against what it owes: the failure, the remedy, and the evidence of both. */
export async function expectHealed(
  directory: string,
  signatures: readonly string[],
  options: object,
): Promise<Report> {
  const report = await readJson<Report>(join(directory, 'report.json'));
  expect(report).toMatchObject({
    verdict: 'converted',
    first_attempt: { boot: { verdict: 'failed' }, directory: 'attempt-1' },
    remedies: [{ options, error: null, boot: { verdict: 'booted', level: 'login' } }],
    boot: { verdict: 'booted', level: 'login' },
  });
  expect(signatures).toContain(report.first_attempt?.boot?.failure?.signature);
  expect(report.remedies[0]?.boot).toEqual(report.boot);
  const html = await readFile(join(directory, 'report.html'), 'utf8');
  expect(html).toContain('2 plans were tried');
  for (const file of ['boot/boot.json', 'boot/serial.log', 'boot/screen-end.png', 'plan.json'])
    expect(await exists(join(directory, 'attempt-1', file))).toBe(true);
  await run('sha256sum', ['--quiet', '--strict', '-c', 'SHA256SUMS'], { cwd: directory });
  return report;
}
