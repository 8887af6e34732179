import { describe, expect, test } from 'vitest';
import type { Attempts } from '../../../src/report/attempts.js';
import { serialTail } from '../../../src/report/boot-evidence.js';
import { reportHtml } from '../../../src/report/html.js';
import type { Report } from '../../../src/report/report.js';
import { buildReport, readOutputs } from '../../../src/report/report.js';
import { summarize } from '../../../src/report/summary.js';
import {
  FINISHED,
  STARTED,
  sampleBoot,
  sampleConvert,
  sampleFetch,
  sampleOptions,
  sampleOutputs,
  sampleRecords,
} from './sample.js';

const failure = {
  stage: 'validate',
  error: {
    code: 'validate.stalled',
    message: 'nothing moved',
    advice: 'look',
    retryable: false,
    causes: ['why'],
  },
};

const START: Report['start'] = {
  libvirt: ['virsh define /srv/it’s/web01.xml', 'virsh start web01'],
  qemu: 'qemu-system-x86_64 -machine q35',
};

const shell = { signature: 'initramfs-shell', meaning: 'It stopped.', advice: 'See the log.' };

function report(
  changes: Partial<Report> = {},
  failed: typeof failure | null = null,
  attempts: Attempts | null = null,
): Report {
  const built = buildReport({
    job: 'k3x9',
    vm: 'web01',
    options: sampleOptions(),
    outputs: readOutputs(sampleOutputs()),
    records: sampleRecords(),
    startedAt: STARTED,
    finishedAt: FINISHED,
    diskNames: failed === null ? ['web01-disk0.qcow2'] : [],
    source: [{ path: 'web01.vmdk', size: 7, sha256: 'c'.repeat(64) }],
    start: failed === null ? START : null,
    versions: { hyper2kvm: '0.1.0', qemu: '7.2.22', libguestfs: null },
    failure: failed,
    attempts,
  });
  return { ...built, ...changes };
}

test('what CONVERT read from disks and wrote to them stands below the stages, where it was counted', () => {
  const GIB = 1024 ** 3;
  const device = { read: 11 * GIB, used: 10 * GIB, written: 9 * GIB, delivered: 8 * GIB };
  const counted = { ...sampleOutputs(), convert: { ...sampleConvert, device } };
  expect(readOutputs(counted).device).toEqual(device);
  const page = reportHtml(report({ device }), { screens: [], serialTail: '' });
  expect(page).toContain(
    'read 11.0 GiB from disks, of a source with 10.0 GiB in use, and wrote 9.0 GiB for disks of 8.0 GiB',
  );
  expect(report().device).toBeNull();
  expect(reportHtml(report(), { screens: [], serialTail: '' })).not.toContain('from disks');
});

describe('what FETCH found beside the disks', () => {
  const fetched = {
    ...sampleFetch,
    passed_over: [{ path: 'web01-ctk.vmdk', reason: 'change-tracking' as const }],
  };
  const warning = { fixer: 'fetch', code: 'fetch.manifest-unread', message: 'web01.mf has <lines>' };

  test('is in report.json and on the page, also of a data job', () => {
    const outputs = { fetch: { ...fetched, warnings: [warning] } };
    const built = buildReport({
      job: 'k3x9',
      vm: 'web01',
      options: sampleOptions({ kind: 'data' }),
      outputs: readOutputs(outputs),
      records: [],
      startedAt: STARTED,
      finishedAt: FINISHED,
      diskNames: [],
      source: [{ path: 'web01.vmdk', size: 7, sha256: 'c'.repeat(64) }],
      start: null,
      versions: { hyper2kvm: '0.1.0', qemu: null, libguestfs: null },
      failure: null,
      attempts: null,
    });
    expect(built.passed_over).toEqual(fetched.passed_over);
    expect(built.warnings).toEqual([warning]);
    const page = reportHtml(built, { screens: [], serialTail: '' });
    expect(page).toContain('web01-ctk.vmdk</span>: VMware’s changed block tracking');
    expect(page).toContain('web01.mf has &lt;lines&gt;');
  });
});

test('a job that an older version fetched is published by this one', () => {
  const { hardware } = sampleFetch;
  const disks = [{ index: 0, leaf: 'web01.vmdk', format: 'vmdk', controller: null }];
  const { fetch } = readOutputs({ fetch: { files: [], disks, hardware, unpacked: [] } });
  expect(fetch).toEqual({ hardware, passed_over: [], warnings: [] });
});

describe('report.json', () => {
  test('has the keys that scripts rely on', () => {
    const converted = report();
    expect(Object.keys(converted)).toEqual(
      expect.arrayContaining([
        'job',
        'vm',
        'verdict',
        'started_at',
        'finished_at',
        'stages',
        'identity',
        'plan',
        'disks',
        'boot',
        'versions',
      ]),
    );
    expect(converted.disks).toEqual([
      {
        file: 'web01-disk0.qcow2',
        format: 'qcow2',
        virtual_size: 4_294_967_296,
        allocated: 731_906_048,
        sha256: 'a'.repeat(64),
      },
    ]);
    expect(Object.keys(converted.identity!)).toEqual(
      expect.arrayContaining([
        'os_type',
        'os_distro',
        'os_version',
        'firmware',
        'bootloader',
        'init_system',
        'network_manager',
        'architecture',
        'hostname',
        'kernels',
        'initramfs_tool',
        'package_manager',
        'partitions',
        'filesystems',
        'encrypted',
        'vmware_tools',
      ]),
    );
    expect(converted).toMatchObject({ verdict: 'converted', error: null, failed_stage: null });
  });

  test('of a failure has the error and no disks', () => {
    expect(report({}, failure)).toMatchObject({
      verdict: 'failed',
      failed_stage: 'validate',
      disks: [],
      error: failure.error,
    });
  });

  test('an output that is not of its stage’s schema is an error, not a gap', () => {
    expect(() => readOutputs({ convert: { disks: [{}] } })).toThrow();
    expect(readOutputs({ convert: null, validate: undefined })).toMatchObject({ disks: [], boot: null });
  });
});

describe('the verdict', () => {
  const boot = (changes: Partial<typeof sampleBoot>) =>
    summarize(report({ boot: { ...sampleBoot, ...changes } }));
  test('calls booting only what was seen to boot', () => {
    expect(boot({})).toMatchObject({ tone: 'good', verdict: 'Converted and booted' });
    expect(boot({}).sentence).toContain('login prompt in 58 s on QEMU without KVM (TCG)');
    expect(boot({ accelerator: 'kvm' }).sentence).toContain('in 58 s on KVM.');
    expect(boot({ verdict: 'inconclusive', level: 'kernel' })).toMatchObject({
      tone: 'caution',
      verdict: 'Converted, boot not proven',
    });
    expect(
      boot({
        verdict: 'failed',
        level: 'kernel',
        failure: { signature: 'initramfs-shell', meaning: 'no root', advice: '' },
      }),
    ).toMatchObject({
      tone: 'bad',
      verdict: 'Converted, does not boot',
      sentence: expect.stringContaining('initramfs-shell: no root'),
    });
    expect(summarize(report({ boot: null }))).toMatchObject({
      tone: 'caution',
      verdict: 'Converted, not booted',
    });
    expect(summarize(report({ boot: null, kind: 'data' }))).toMatchObject({
      tone: 'caution',
      verdict: 'Converted, not compared',
    });
    const content = { verdict: 'identical' as const, seconds: 2, disks: [] };
    expect(summarize(report({ boot: null, kind: 'data', content }))).toMatchObject({
      tone: 'good',
      verdict: 'Converted and compared',
    });
    expect(summarize(report({}, failure))).toMatchObject({
      tone: 'bad',
      verdict: 'Failed',
      sentence: expect.stringContaining('in VALIDATE'),
    });
  });
});

describe('a boot with warnings', () => {
  const warned = { code: 'validate.missing-mounts' as const, message: 'not mounted: /srv/<data>' };
  const page = report({ boot: { ...sampleBoot, warnings: [warned] } });

  test('is booted for machines, and with warnings for people', () => {
    expect(page.boot?.verdict).toBe('booted');
    expect(summarize(page)).toMatchObject({
      tone: 'caution',
      verdict: 'Converted and booted, with warnings',
      sentence: expect.stringContaining('not mounted: /srv/<data>'),
    });
    const html = reportHtml(page, { screens: [], serialTail: '' });
    expect(html).toContain('booted, with warnings, level login');
    expect(html).toContain('<code>validate.missing-mounts</code> not mounted: /srv/&lt;data&gt;');
  });
});

describe('report.html', () => {
  const attachments = { screens: [], serialTail: 'web01 login:' };

  test('stays markup of ours when every text of the report is hostile', () => {
    const hostile = JSON.parse(
      JSON.stringify(report({}, failure), (key, value: unknown) =>
        typeof value === 'string' && !/_at$|^op$|^kind$|^verdict$/.test(key)
          ? `${value}"'><script>alert(1)</script><img src=x onerror=y>\u0000\u001b`
          : value,
      ),
    ) as Report;
    const html = reportHtml(hostile, { ...attachments, serialTail: '</pre><script>' });
    expect(html).not.toMatch(/<script|<img src=x/);
    expect(html).not.toMatch(/[\u0000-\u0008\u000b-\u001f]/);
    expect(html.match(/<\/?main>/g)).toEqual(['<main>', '</main>']);
    expect(html).toContain("default-src 'none'");
  });

  test('loads nothing from outside', () => {
    expect(reportHtml(report(), attachments)).not.toMatch(/(?:src|href)=["']?(?!data:)|url\(|@import/);
  });

  test('shows verdict, levels, diff, digests and how to start it', () => {
    const html = reportHtml(report(), attachments);
    expect(html).toContain('<span class="verdict good">Converted and booted</span>');
    expect(html.match(/<li class="reached">/g)).toHaveLength(6);
    expect(html).toContain('<span class="add">+UUID=5f1c1b0e-53a0-4b5a-9b87-0d2f0d8a9c01\t/boot');
    expect(html).toContain('a'.repeat(64));
    expect(html).toContain('virsh define /srv/it’s/web01.xml\nvirsh start web01');
    expect(html).toContain('qemu-system-x86_64 -machine q35');
  });

  test('of a failure names the code first and gives no command to start it', () => {
    const html = reportHtml(report({}, failure), attachments);
    expect(html.indexOf('validate.stalled')).toBeLessThan(html.indexOf('<h2>'));
    expect(html).not.toContain('virsh');
  });

  test('shows every attempt with its options and evidence, escaped', () => {
    const boot = { ...sampleBoot, verdict: 'failed' as const, failure: { ...shell } };
    const attempts = {
      earlier: [
        { reason: null, options: {}, boot, error: null, directory: 'attempt-1' },
        {
          reason: 'built <again>',
          options: { 'fix.initramfs': 'rebuild' },
          boot: null,
          error: failure.error,
          directory: null,
        },
      ],
      last: { reason: 'other disks', options: { 'fix.devices': 'sata' } },
    };
    const built = report({}, null, attempts);
    expect(built.first_attempt).toEqual({ boot, directory: 'attempt-1' });
    expect(built.remedies).toMatchObject([
      { reason: 'built <again>', boot: null, error: { code: failure.error.code } },
      { reason: 'other disks', options: { 'fix.devices': 'sata' }, boot: sampleBoot, error: null },
    ]);
    const png = Buffer.from('picture');
    const screens = [{ file: 'screen-end.png', at_seconds: 9, level: 'kernel', png }];
    const evidence = [{ screens, serialTail: '(initramfs) <b>' }];
    const html = reportHtml(built, { ...attachments, attempts: evidence });
    expect(html).toContain('3 plans were tried');
    expect(html).toContain('built &lt;again&gt;');
    expect(html).toContain('fix.devices = &quot;sata&quot;');
    expect(html).toContain('(initramfs) &lt;b&gt;');
    expect(html).toContain(png.toString('base64'));
    expect(html).toContain('The first plan did not do (initramfs-shell), so 2 other plans followed');
    expect(reportHtml(report(), attachments)).not.toContain('Attempts');
  });

  test('marks where a failed boot stopped', () => {
    const boot = { ...sampleBoot, verdict: 'failed' as const, level: 'kernel' as const };
    expect(reportHtml(report({ boot }), attachments)).toContain('<li class="stopped"><b>root</b>');
  });
});

describe('the serial tail', () => {
  test('is text without the console’s layout', () => {
    expect(
      serialTail(
        '\u001b[2J\u001b[01;01H[\u001b[0;32m  OK  \u001b[0m] Started\r\r\n\r\n\r\n\u001b]0;title\u0007web01 login: ',
      ),
    ).toBe('[  OK  ] Started\n\nweb01 login:');
  });
  test('is the end of it', () => {
    const lines = Array.from({ length: 500 }, (_, n) => `line ${n}`);
    expect(serialTail(lines.join('\n')).split('\n').at(0)).toBe('line 380');
  });
});
