import stringWidth from 'string-width';
import { describe, expect, test } from 'vitest';
import { memoryFinding } from '../../../src/commands/doctor/host.js';
import { findingText } from '../../../src/commands/doctor.js';
import { jobTable, shortTime } from '../../../src/commands/job-table.js';
import { sinceTime } from '../../../src/commands/list.js';
import { logLine } from '../../../src/commands/logs.js';
import { planText } from '../../../src/commands/plan.js';
import { createProgress } from '../../../src/commands/progress.js';
import { showText } from '../../../src/commands/show.js';
import { tableLines, truncate, wrap } from '../../../src/text/table.js';
import { samplePlan, sampleRecords } from '../report/sample.js';
import { detail, recordingIo, summary } from './support.js';

const error = {
  code: 'fetch.truncated',
  message: 'web03.vmdk is not whole',
  advice: 'Copy it again.',
  retryable: false,
  causes: [],
};

describe('the list', () => {
  const jobs = [
    summary({
      job: '',
      state: 'waiting',
      vm: 'db',
      waiting_for: 'missing db-s002.vmdk, db-s003.vmdk, db-s004.vmdk',
    }),
    summary({
      state: 'running',
      stage: 'validate',
      percent: 99.9,
      bytes_per_second: 118_400_000,
      eta_seconds: 7_325,
      waiting_for: 'a free boot slot',
    }),
    summary({ vm: 'a-very-long-name-of-a-virtual-machine-indeed', state: 'failed', stage: 'fetch', error }),
    summary({
      state: 'cancelled',
      stage: 'convert',
      percent: 100,
      bytes_per_second: 99_940_000,
      eta_seconds: 3_599,
    }),
  ];

  test('fits 80 columns and says everything that is waited for', () => {
    const { io } = recordingIo();
    const lines = jobTable(io, jobs).trimEnd().split('\n');
    expect(Math.max(...lines.map((line) => stringWidth(line)))).toBeLessThanOrEqual(80);
    expect(lines[0]).toBe('JOB           VM             STATE     STAGE      %  MB/s    ETA WAITING FOR');
    expect(lines[1]).toBe('-             db             waiting');
    expect(lines[2]).toBe('    missing db-s002.vmdk, db-s003.vmdk, db-s004.vmdk');
    expect(lines[3]).toBe('01k9xw3v5qabc web01          running   validate  99   118  2h02m');
    expect(lines[4]).toBe('    a free boot slot');
    expect(lines[5]).toBe('01k9xw3v5qabc a-very-long-n… failed    fetch                     fetch.truncated');
  });

  test('has the note in its column where the terminal is wide enough', () => {
    const { io } = recordingIo({ columns: 120 });
    expect(jobTable(io, jobs)).toContain('validate  99   118  2h02m a free boot slot\n');
  });

  test('colours change no width', () => {
    const plain = jobTable(recordingIo().io, jobs);
    const coloured = jobTable(recordingIo({ terminal: true, columns: 80 }).io, jobs);
    expect(coloured).not.toBe(plain);
    expect(coloured.replace(/\u001b\[\d+m/g, '')).toBe(plain);
  });

  test('times take six columns at most', () => {
    expect([0, 59, 60, 3_599, 3_600, 86_399, 86_400].map(shortTime)).toEqual([
      '0s',
      '59s',
      '1m00s',
      '59m59s',
      '1h00m',
      '23h59m',
      '1d',
    ]);
  });

  test('--since takes spans and dates', () => {
    const now = Date.parse('2026-05-04T12:00:00Z');
    expect(sinceTime('90m', undefined, now)).toBe('2026-05-04T10:30:00.000Z');
    expect(sinceTime('2d', undefined, now)).toBe('2026-05-02T12:00:00.000Z');
    expect(sinceTime('2026-05-01')).toBe('2026-05-01T00:00:00.000Z');
    expect(() => sinceTime('soon')).toThrow(/is not a valid time/);
  });
});

test('list and show tell of a boot with warnings', () => {
  const message = 'not mounted: /srv\u001b[2J';
  const warnings = [{ code: 'validate.missing-mounts', message }];
  const boot = { verdict: 'booted', level: 'login', seconds: 41.2, accelerator: 'tcg', warnings };
  const { io } = recordingIo();
  expect(jobTable(io, [summary({ state: 'converted', boot })])).toContain('booted, with warnings\n');
  const shown = showText(io, detail({ state: 'converted', boot }));
  expect(shown).toContain('boot         booted, with warnings, level login');
  expect(shown).toContain('warning      validate.missing-mounts: not mounted: /srv');
  expect(shown).not.toContain('\u001b');
});

test('show has stages, plan, boot verdict and the error with its advice', () => {
  const { io } = recordingIo();
  const text = showText(
    io,
    detail({
      state: 'failed',
      stages: sampleRecords(),
      plan: { fstab: 1, network: 2 },
      boot: { verdict: 'failed', level: 'kernel', seconds: 41.2, accelerator: 'tcg', warnings: [] },
      error: { ...error, causes: ['short read\u001b[2J'] },
    }),
  );
  expect(text).toContain('plan         fstab 1, network 2\n');
  expect(text).toContain('boot         failed, level kernel, 41 s on TCG\n');
  expect(text).toMatch(/^inspect {3}completed +52 s +1$/m);
  expect(text).toMatch(/^convert {3}completed +6\.1 s +1 +670 MiB +698 MiB$/m);
  expect(text).toContain(
    'fetch.truncated\n  web03.vmdk is not whole\n  Copy it again.\n  caused by: short read\\x1b[2J\n',
  );
});

describe('a log line', () => {
  const { io } = recordingIo();
  test('is read by people', () => {
    const line =
      '{"level":"warn","time":"2026-05-04T10:11:12.345Z","job":"k","stage":"plan","fixer":"fstab","detail":"two words","msg":"plan warning"}';
    expect(logLine(io, line)).toBe('10:11:12 warn  plan     plan warning fixer=fstab detail="two words"');
  });
  test.each(['half a line {"level', '"text"', '[1]'])('that is none is shown as it is: %s', (line) => {
    expect(logLine(io, line)).toBe(line);
  });
  test('cannot move the cursor', () => {
    expect(logLine(io, '{"msg":"\\u001b[2J","name":"\\u202e"}')).not.toMatch(/\u001b|\u202e/);
  });
});

test('a plan is shown as diffs with reasons, guest text escaped', () => {
  const { io } = recordingIo();
  const hostile = { ...samplePlan.operations[0]!, path: '/etc/\u001bfstab' };
  const text = planText(io, {
    ...samplePlan,
    operations: [hostile as (typeof samplePlan.operations)[0], ...samplePlan.operations.slice(1)],
  });
  expect(text).toContain('change /etc/\\x1bfstab\n  fstab: by-path names');
  expect(text).toContain('\n-/dev/sda1\t/boot\text4');
  expect(text).toContain('\n+UUID=5f1c1b0e-53a0-4b5a-9b87-0d2f0d8a9c01\t/boot');
  expect(text).toContain('warning agent: qemu-guest-agent is not installed');
  expect(text.endsWith('3 operations; disks on virtio, network on virtio.\n')).toBe(true);
});

describe('progress', () => {
  const record = sampleRecords()[5]!;
  test('into a pipe is a line at start and end of a stage, and no redrawing', () => {
    const { io, err } = recordingIo();
    const progress = createProgress(io, { silent: false });
    progress.event({ type: 'stage-started', stage: 'convert', attempt: 1 });
    progress.event({ type: 'progress', stage: 'convert', progress: { percent: 50 } });
    progress.event({ type: 'stage-finished', record });
    progress.end();
    expect(err()).toBe('  convert …\n✓ convert          6.1 s  698 MiB written\n');
  });

  test('on a terminal is redrawn in one line that fits, and leaves nothing behind', () => {
    const { io, err } = recordingIo({ terminal: true, columns: 40, env: { NO_COLOR: '1' } });
    const progress = createProgress(io, { silent: false });
    progress.event({ type: 'stage-waiting', stage: 'convert', lane: 'conversions' });
    progress.event({ type: 'stage-finished', record });
    const drawn = err().split('\r\u001b[K');
    expect(drawn[1]).toBe('  convert   waiting for a free convers…');
    expect(stringWidth(drawn[1]!)).toBeLessThan(40);
    expect(drawn[2]).toBe('✓ convert          6.1 s  698 MiB written\n');
  });

  test('with --json is silent', () => {
    const { io, err } = recordingIo();
    createProgress(io, { silent: true }).event({ type: 'stage-finished', record });
    expect(err()).toBe('');
  });
});

describe('doctor', () => {
  test('a row has its fix below and fits the terminal', () => {
    const { io } = recordingIo({ columns: 60 });
    const text = findingText(io, {
      name: 'appliance kernel',
      status: 'fail',
      detail: '/boot/vmlinuz-6.8.0-31-generic cannot be read by this user',
      fix: 'dpkg-statoverride --update --add root root 0644 /boot/vmlinuz-6.8.0-31-generic',
    });
    expect(text).toMatch(/^FAIL appliance kernel {4}\/boot/);
    expect(text).toContain('fix: dpkg-statoverride');
  });

  test('memory fails when it cannot suffice, warns when it is in use', () => {
    expect(memoryFinding({ needed: 4, total: 3, available: 3 }).status).toBe('fail');
    expect(memoryFinding({ needed: 4, total: 8, available: 3 }).status).toBe('warn');
    expect(memoryFinding({ needed: 4, total: 8, available: 5 })).toMatchObject({ status: 'ok', fix: '' });
  });
});

describe('tables', () => {
  test('count columns, not characters', () => {
    expect(truncate('日本語', 5)).toBe('日本…');
    expect(truncate('日本語', 6)).toBe('日本語');
    expect(truncate('e\u0301e\u0301e\u0301', 2)).toBe('e\u0301…');
    expect(
      tableLines(
        [{ title: 'A' }, { title: 'B', align: 'right' }],
        [
          ['日', '1'],
          ['x', '22'],
        ],
      ),
    ).toEqual(['A   B', '日  1', 'x  22']);
  });
  test('do not cut an emoji of several characters in two', () => {
    const family = '👨\u200d👩\u200d👧';
    expect(truncate(`${family}web`, 4)).toBe(`${family}w…`);
    expect(truncate(`${family}${family}`, 3)).toBe(`${family}…`);
  });
  test('wrap at blanks and keep long words whole', () => {
    expect(wrap('one two three /a/very/long/path', 9, ' ')).toEqual([
      ' one two',
      ' three',
      ' /a/very/long/path',
    ]);
    expect(wrap('日本 語 x', 6, '')).toEqual(['日本', '語 x']);
  });
  test('leave the characters of a name as the file has them', () => {
    expect(wrap('missing u\u0308.vmdk', 8, '')).toEqual(['missing', 'u\u0308.vmdk']);
  });
});
