import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { jobOptionsSchema } from '../../src/config/schema.js';
import type { Appliance } from '../../src/guest/appliance.js';
import { buildGuest } from '../../src/lab/guest.js';
import { RECIPES } from '../../src/lab/recipes.js';
import { createImage } from '../../src/tools/qemu-img.js';

/** As built: its child process is a file of its own. */
const APPLIANCE = new URL('../../dist/guest/appliance.js', import.meta.url).href;

let directory: string;
let appliance: Appliance;
beforeAll(async () => {
  const { image } = await buildGuest(RECIPES['bookworm-bios']);
  directory = await mkdtemp(join(tmpdir(), 'h2k-ap-'));
  const backing = { file: image, format: 'raw' } as const;
  await createImage({ file: join(directory, 'flat.qcow2'), format: 'qcow2', backing });
  const { openAppliance } = (await import(APPLIANCE)) as typeof import('../../src/guest/appliance.js');
  appliance = await openAppliance({
    disks: ['flat.qcow2'],
    workDirectory: directory,
    options: jobOptionsSchema.parse({ config: {} }).config,
    signal: AbortSignal.timeout(300_000),
    log: pino({ level: 'silent' }),
  });
});
afterAll(async () => {
  await appliance?.kill();
  await rm(directory, { recursive: true, force: true });
});

test('partitions stay when a disk that was open for writing is closed', async () => {
  const sh = (script: string) => appliance.call('debug', 'sh', [script]);
  await sh('udevadm monitor --kernel >/tmp/events 2>&1 & sleep 1');
  // The positive control: an event is seen at all.
  await sh('echo change >/sys/block/sda/sda1/uevent');
  await sh('exec 3<>/dev/sda; exec 3>&-; sleep 3');
  const events = String(await sh('cat /tmp/events'));
  expect(events).toMatch(/KERNEL\[.*\] change .*\/sda1 \(block\)/);
  expect(events).not.toContain('] remove ');
});
