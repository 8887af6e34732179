import { basename } from 'node:path';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/**
 * Roughly the seconds of the files that take longest, on two cores without KVM. `npm test` prints what its
 * files took: a new long one belongs in here.
 */
const SECONDS: Readonly<Record<string, number>> = {
  'crash.test.ts': 250,
  'matrix-trixie-uefi-systemd-boot-btrfs-luks.test.ts': 300,
  'matrix-bookworm-bios-extlinux-lvm-md.test.ts': 175,
  'failures.test.ts': 210,
  'matrix-trixie-uefi-unified.test.ts': 300,
  'pipeline.test.ts': 260,
  'matrix-bullseye-bios.test.ts': 80,
  'matrix-bookworm-bios-by-id-units.test.ts': 120,
  'alpine.test.ts': 150,
  'validate.test.ts': 240,
  'cli-convert.test.ts': 100,
  'libvirt.test.ts': 140,
  'lab-guests.test.ts': 20,
  'live.test.ts': 100,
  'phony-guest.test.ts': 45,
  'as-is.test.ts': 110,
  'windows.test.ts': 170,
  'windows-drivers.test.ts': 90,
  'remedies.test.ts': 270,
  'validate-windows.test.ts': 30,
  'initramfs-kernel.test.ts': 30,
  'faults.test.ts': 250,
  'package.test.ts': 115,
  'filesystems.test.ts': 140,
  'daemon-crash.test.ts': 70,
  'shapes.test.ts': 85,
  'drops.test.ts': 70,
  'exchange.test.ts': 45,
  'remote.test.ts': 55,
  'vsphere.test.ts': 40,
  'vsphere-refusals.test.ts': 30,
  'windows-first-boot.test.ts': 40,
  'every-job-ends.test.ts': 25,
  'pinned.test.ts': 25,
  'systemd.test.ts': 35,
  // Beside the unit tests, one after the other: both measure seconds.
  'hostile.test.ts': 65,
  'hostile-intake.test.ts': 1,
};
const OTHERS = 15;
/**
 * Files with guests that run at a time: as many as a small machine has cores. The third worker takes files
 * that mostly wait.
 */
const GUESTS_AT_A_TIME = 2;
const WORKERS = 3;

/** Orders the files so that the longest begin first, and those with guests are spread over the whole run. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = (await super.sort(files)).toSorted((a, b) => secondsOf(b) - secondsOf(a));
    const guests = sorted.filter(isGuest);
    const others = sorted.filter((file) => !isGuest(file));
    const order: TestSpecification[] = [];
    let running: { file: TestSpecification; end: number }[] = [];
    let now = 0;
    for (;;) {
      const isRoom = running.filter(({ file }) => isGuest(file)).length < GUESTS_AT_A_TIME;
      const next = (isRoom ? guests.shift() : undefined) ?? others.shift() ?? guests.shift();
      if (next === undefined) return order;
      order.push(next);
      running.push({ file: next, end: now + secondsOf(next) });
      if (running.length < WORKERS) continue;
      now = Math.min(...running.map(({ end }) => end));
      running = running.filter(({ end }) => end > now);
    }
  }
}

function secondsOf({ moduleId }: TestSpecification): number {
  return SECONDS[basename(moduleId)] ?? OTHERS;
}

function isGuest({ project }: TestSpecification): boolean {
  return project.name === 'guests';
}
