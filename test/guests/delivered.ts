import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { JobSummary } from '../../src/api/protocol.js';
import { sha256File } from '../../src/files/digest.js';
import type { Boot } from '../../src/model/boot.js';
import type { StageRecord } from '../../src/model/stage-record.js';
import { run } from '../../src/tools/run.js';
import { readJson, type Spool } from '../integration/support/daemon.js';
import { type BootRequest, bootGuest, LAB_REPORT, labReport } from '../lab/boot.ts';
import type { GuestRecipe } from '../lab/recipes.ts';

export interface Report {
  verdict: string;
  stages: StageRecord[];
  identity: { firmware: string; os_distro: string };
  disks: { file: string; sha256: string; allocated: number }[];
  boot: Boot;
}

/**
 * Holds a bundle against what a converted VM owes its user: booted on virtio with its address, mounts and
 * services by the report's word and by a machine of the test's own. `source` is the digest of the drop,
 * `drop` its name.
 */
export async function expectDelivered(
  spool: Spool,
  job: JobSummary,
  { recipe, drop, source, mounts }: { recipe: GuestRecipe; drop: string; source: string; mounts: string[] },
): Promise<Report> {
  const bundle = job.directory as string;
  const report = await readJson<Report>(join(bundle, 'report.json'));
  expect(report.verdict).toBe('converted');
  expect(report.identity).toMatchObject({ firmware: recipe.firmware, os_distro: 'debian' });
  expect(report.boot).toMatchObject({ verdict: 'booted', level: 'login', failure: null });
  expect(report.boot.guest).toMatchObject({ missing_mounts: [], failed_units: [] });
  // QEMU's user network gives out an IPv6 address, too.
  expect(report.boot.guest?.addresses.filter((address) => !address.includes(':'))).toEqual(['10.0.2.15']);
  expect(report.boot.warnings).toEqual([]);
  expect(report.boot.guest?.swaps).toHaveLength(1);

  // The source as it came, the delivered disk as CONVERT wrote it: the boot test changed neither.
  expect(await sha256File(join(bundle, 'source', drop))).toBe(source);
  await run('sha256sum', ['--quiet', '--strict', '-c', 'SHA256SUMS'], { cwd: bundle });
  expect(await readFile(join(bundle, 'plan.diff'), 'utf8')).toContain('+UUID=');
  expect(await spool.results('failed')).toEqual([]);

  // Not only our own word: the delivered disk, without any layer of the boot test, in a machine that the test
  // makes.
  const boot = async (hardware: BootRequest['hardware']) => {
    const { serial } = await bootGuest({
      disks: [{ file: join(bundle, report.disks[0]!.file), format: 'qcow2' }],
      firmware: recipe.firmware,
      macs: [recipe.network.mac],
      until: [LAB_REPORT],
      hardware,
    });
    expect(labReport(serial)).toMatchObject({ addresses: ['ens192=10.0.2.15/24'], mounts, failed: [] });
    return labReport(serial);
  };
  // A fixed guest still boots where it came from, too (OVMF cannot read a disk on PVSCSI).
  const [virtio] = await Promise.all([
    boot('virtio'),
    ...(recipe.firmware === 'bios' ? [boot('vmware')] : []),
  ]);
  expect(virtio.swaps).toEqual(['/dev/vda3']);
  return report;
}
