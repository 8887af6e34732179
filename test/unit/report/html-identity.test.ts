import { expect, test } from 'vitest';
import { reportHtml } from '../../../src/report/html.js';
import { buildReport, readOutputs } from '../../../src/report/report.js';
import { inspectWindows } from '../families/windows/inspect-windows.js';
import { windowsDisks } from '../families/windows/make-windows.js';
import { SYSTEMS } from '../families/windows/systems.js';
import { FINISHED, STARTED, sampleOptions, sampleRecords } from './sample.js';

test('what was found of a refused Windows guest is in the report', async () => {
  const { recipe, nics = [] } = SYSTEMS['Windows 7 x86, two e1000 with static addresses']!;
  const { identity, snapshot_sha256, warnings } = await inspectWindows(windowsDisks(recipe), { nics });
  const inspect = {
    identity,
    snapshot: 's',
    snapshot_sha256,
    initramfs_listings: 'i',
    unlocked: [],
    warnings,
  };
  const error = {
    code: 'plan.windows-unsupported',
    message: 'no changes',
    advice: 'none',
    retryable: false,
    causes: [],
  };
  const report = buildReport({
    job: 'k3x9',
    vm: 'win7',
    options: sampleOptions(),
    outputs: readOutputs({ inspect }),
    records: sampleRecords(),
    startedAt: STARTED,
    finishedAt: FINISHED,
    diskNames: [],
    source: [],
    start: null,
    versions: { hyper2kvm: '0.1.0', qemu: null, libguestfs: null },
    failure: { error, stage: 'plan' },
    attempts: null,
  });
  expect(report.identity).toEqual(identity);
  const page = reportHtml(report, { screens: [], serialTail: '' });
  for (const text of [
    'Windows 7 Ultimate',
    '7601',
    'Local Area Connection 2: 10.3.58.5/24',
    '00:0c:29:aa:00:02',
  ])
    expect(page).toContain(text);
  expect(page).not.toMatch(/initramfs|undefined/);
});
