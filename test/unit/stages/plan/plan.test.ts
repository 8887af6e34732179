import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type JobOptions, jobOptionsSchema } from '../../../../src/config/schema.js';
import type { StageContext } from '../../../../src/engine/stage.js';
import { writeSnapshot } from '../../../../src/guest/snapshot-file.js';
import { applyOperations } from '../../../../src/operations/apply-operations.js';
import { planSchema } from '../../../../src/operations/plan.js';
import type { Operation } from '../../../../src/operations/registry.js';
import { planStage } from '../../../../src/stages/plan/index.js';
import { makePlan } from '../../../../src/stages/plan/make-plan.js';
import { planDiff } from '../../../../src/stages/plan/plan-diff.js';
import { planRequested } from '../../../../src/stages/plan/plan-requested.js';
import { canonicalJson } from '../../../../src/text/canonical-json.js';
import { DISTRIBUTIONS } from '../../families/distributions.js';
import { guestOf } from '../../families/guests.js';
import { sampleFetch } from '../../report/sample.js';

const recipe = DISTRIBUTIONS['Debian 12, BIOS, ifupdown'];
const guest = guestOf(recipe ?? {});
let workDirectory: string;

beforeEach(() => {
  workDirectory = mkdtempSync(join(tmpdir(), 'h2k-plan-'));
});
afterEach(() => rmSync(workDirectory, { recursive: true }));

/** The stage's context, of which it uses nothing else, and its input. */
async function given(options: JobOptions, identity: typeof guest.identity, sector_size: number) {
  const digest = await writeSnapshot(join(workDirectory, 'snapshot.json'), guest.tree);
  const input = planStage.input.parse({
    fetch: {
      ...sampleFetch,
      disks: sampleFetch.disks.map((disk) => ({ ...disk, controller: null })),
      hardware: guest.hardware,
    },
    flatten: { disks: [{ sector_size }] },
    inspect: {
      identity,
      snapshot: 'snapshot.json',
      snapshot_sha256: digest,
      initramfs_listings: 'listings.json',
    },
  });
  const { signal } = new AbortController();
  const context = {
    job: { id: 'k3x9', vm: 'web01' },
    workDirectory,
    options,
    signal,
    log: pino({ level: 'silent' }),
  } as unknown as StageContext;
  return { context, input };
}

const DEFAULTS = jobOptionsSchema.parse({ config: {} });

async function runStage(options = DEFAULTS, identity = guest.identity) {
  const { context, input } = await given(options, identity, 512);
  return planStage.run(context, input);
}

/** The stage's plan, made without its thread. */
async function planOf(options = DEFAULTS, identity = guest.identity, sector_size = 512) {
  const { context, input } = await given(options, identity, sector_size);
  return makePlan(context, input, options, { planner: (request) => planRequested(request) });
}
const file = (name: string) => readFileSync(join(workDirectory, name), 'utf8');

describe('the PLAN stage', () => {
  it('refuses a guest that no machine of ours runs, whatever it is to do', async () => {
    const identity = { ...guest.identity, architecture: 's390x' };
    const untouched = jobOptionsSchema.parse({ config: { fix: { mode: 'none' } } });
    for (const options of [undefined, untouched])
      await expect(runStage(options, identity)).rejects.toMatchObject({
        code: 'plan.unsupported-architecture',
        advice: expect.stringContaining('kind = "data"'),
      });
  });

  it('gives a disk of 4096-byte sectors to virtio only', async () => {
    const { plan } = await planOf(undefined, guest.identity, 4096);
    expect(plan.devices.disk_bus).toBe('virtio');
    // Its initramfs as it is has no virtio: SATA, which has no such sectors.
    const untouched = jobOptionsSchema.parse({ config: { fix: { mode: 'none' } } });
    await expect(planOf(untouched, guest.identity, 4096)).rejects.toMatchObject({
      code: 'plan.sector-size',
    });
  });

  it('writes plan.json and plan.diff, the same bytes for the same input', async () => {
    const output = await runStage();
    const first = [file('plan.json'), file('plan.diff')];
    await runStage();
    expect([file('plan.json'), file('plan.diff')]).toEqual(first);
    expect(planSchema.parse(JSON.parse(first[0] ?? ''))).toEqual(output.plan);
    expect(output.plan.operations.length).toBeGreaterThan(5);
  });

  it('plans nothing with fix.mode = "none", whatever the guest is', async () => {
    const options = jobOptionsSchema.parse({ config: { fix: { mode: 'none' } } });
    // With a plan it would be refused: nothing tells what its root is.
    const unknown = { ...guest.identity, filesystems: [] };
    await expect(planOf(undefined, unknown)).rejects.toMatchObject({ code: 'plan.fstab-unresolved' });
    const { plan } = await runStage(options, unknown);
    expect(plan).toMatchObject({
      operations: [],
      // Its initramfs has the drivers of VMware's devices only.
      devices: { disk_bus: 'sata', nic_model: 'e1000' },
      warnings: [{ code: 'devices.as-is' }],
    });
    expect(file('plan.diff')).toMatch(/^# warning \(devices\): .*\n$/);
  });
});

describe('canonicalJson', () => {
  it('does not depend on the order of keys', () => {
    expect(canonicalJson({ b: [{ d: 1, c: null }], a: 'x' })).toBe(
      canonicalJson({ a: 'x', b: [{ c: null, d: 1 }] }),
    );
  });
});

describe('planDiff', () => {
  const common = { fixer: 'fstab', reason: 'because', encoding: 'utf8' } as const;

  it('is applied by patch(1) to the guest’s files, giving what the operations give', async () => {
    const { plan } = await runStage();
    const root = join(workDirectory, 'root');
    for (const { path, content } of guest.tree.entries()) {
      if (content === undefined) continue;
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), content);
    }
    execFileSync('patch', ['-p1', '--quiet', '-d', root], { input: file('plan.diff') });
    const { tree: after } = applyOperations(guest, plan.operations);
    for (const operation of plan.operations) {
      if (operation.op !== 'write_file') continue;
      expect(readFileSync(join(root, operation.path), 'utf8')).toBe(after.text(operation.path)?.text);
    }
    expect(plan.operations.some(({ op }) => op === 'write_file')).toBe(true);
  });

  it('shows two changes of one file as one, from the first state to the last', () => {
    const operations: Operation[] = [
      { op: 'write_file', ...common, path: '/etc/fstab', before: 'a\n', after: 'b\n', mode: 0o644 },
      {
        op: 'write_file',
        ...common,
        fixer: 'vmware',
        path: '/etc/fstab',
        before: 'b\n',
        after: 'c\n',
        mode: 0o644,
      },
    ];
    expect(planDiff({ operations, warnings: [] })).toBe(
      '# fstab: because\n# vmware: because\n--- a/etc/fstab\n+++ b/etc/fstab\n@@ -1,1 +1,1 @@\n-a\n+c\n',
    );
  });

  it('cannot be made to say what is not planned, by any text or name of the guest', () => {
    const forged = '\n-root:x:0:0\r+evil\u0085+more\u2028+last\u001b[2K\u202e';
    const path = `/etc/a${forged}`;
    const operations: Operation[] = [
      { op: 'write_file', ...common, path, before: null, after: `one${forged}\n`, mode: 0o644 },
      { op: 'copy_file', ...common, from: path, path: '/b' },
      { op: 'run', ...common, command: ['rm', forged] },
    ];
    const diff = planDiff({ operations, warnings: [{ fixer: 'x', code: 'y', message: forged }] });
    const lines = diff.split(/[\n\r\u0085\u2028\u2029]/);
    expect(lines.filter((line) => /^\+(?!\+\+ )/.test(line))).toEqual([
      '+one',
      '+-root:x:0:0\\r+evil\\x85+more\\u2028+last\\x1b[2K\\u202e',
    ]);
    expect(lines.filter((line) => /^-(?!-- )/.test(line))).toEqual([]);
    expect(diff).not.toMatch(/[\u001b\u202e]/);
  });

  it('keeps tabs and the line ends of DOS', () => {
    const operations: Operation[] = [
      { op: 'write_file', ...common, path: '/etc/a', before: 'a\tb\r\n', after: 'a\tc\r\n', mode: 0o644 },
    ];
    expect(planDiff({ operations, warnings: [] })).toContain('-a\tb\r\n+a\tc\r\n');
  });
});
