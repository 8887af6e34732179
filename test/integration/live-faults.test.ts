import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { applyChanges } from '#hyper2kvm/ssh/apply-changes.js';
import { run } from '#hyper2kvm/tools/run.js';
import { filesOf, ID, QUIET, StepHost } from './support/step-host.ts';

/** The script that applies a plan on a host, interrupted at each of its steps. */
let host: StepHost;
beforeAll(async () => {
  host = await StepHost.create();
});
afterAll(() => host.remove());

describe.runIf(process.getuid?.() === 0)('a plan that is applied on a host', () => {
  test('is there with everything, keeps attributes, and is undone to the last attribute', async () => {
    await host.make();
    const before = await host.look();
    expect(await host.apply(QUIET)).toBe('applied');
    const after = await host.look();
    expect(await readFile(join(host.root, 'etc/fstab'), 'utf8')).toBe('UUID=1 / ext4\n');
    expect((await readFile(join(host.root, "boot/it's an initrd"))).subarray(9_998).toString()).toBe(
      'iimore',
    );
    expect(after).toContain('./etc/fstab f 664 1 2');
    expect(after).toContain('user:daemon:rw-');
    expect(after.match(/user\.note=0x6b657074/g)).toHaveLength(1);
    expect(after).toContain('./etc/dracut.conf.d/sub/new.conf f 640 0 0');
    expect(after).toContain('./etc/dracut.conf.d d 755 0 0');
    expect(after).not.toContain('hyper2kvm');
    expect(await readdir(join(host.base, ID))).toEqual([
      '0',
      '1',
      '4',
      '5',
      'done',
      'manifest.json',
      'restore',
    ]);
    // What is in a file is in no list of processes.
    const words = await readFile(join(host.scratch, 'arguments'), 'utf8');
    expect(words).toContain('etc/fstab');
    expect(words).not.toContain('UUID=1 / ext4');
    await host.restore();
    expect(await host.look()).toBe(before);
    // Once more is not an error.
    expect(await host.rollback()).toEqual([]);
    expect(await host.look()).toBe(before);
  });

  test('is all or nothing when any tool fails, and leaves nothing behind', async () => {
    await host.make();
    const before = await host.look();
    const seen = await host.everyStep('fail', async (outcome) => {
      if (outcome === 'applied') return;
      expect(await host.look()).toBe(before);
      expect(await readdir(host.place)).not.toContain('backups');
    });
    expect(seen.steps).toBeGreaterThan(20);
    expect([...seen.outcomes].sort()).toEqual([
      'applied',
      'live.backup-failed',
      'live.not-writable',
      'live.undone',
      'live.unproven',
    ]);
  });

  test('goes on to its end when the connection is cut, whatever it is doing', async () => {
    await host.make();
    expect(await host.apply(QUIET)).toBe('applied');
    const after = await host.look();
    await host.make();
    expect(await host.apply({ fault: 'cut', step: 0 })).toBe('applied');
    expect(await host.look()).toBe(after);
  });

  test('has no file that is half there when it is killed at any step, and can be undone then', async () => {
    await host.make();
    const before = await host.look();
    expect(await host.apply(QUIET)).toBe('applied');
    const states = new Set([...filesOf(before), ...filesOf(await host.look())]);
    let undone = 0;
    await host.everyStep('kill', async (outcome) => {
      if (outcome === 'applied') return;
      for (const line of filesOf(await host.look())) expect(states).toContain(line);
      if (!(await readdir(host.place)).includes('backups') || (await readdir(host.base)).length === 0) return;
      // Nothing else is applied until this is undone.
      if (undone === 5) expect(await host.apply(QUIET)).toBe('live.unfinished');
      await host.rollback();
      expect(await host.look()).toBe(before);
      undone += 1;
    });
    expect(undone).toBeGreaterThan(15);
  });

  test('changes nothing when its data does not arrive whole', async () => {
    await host.make();
    const before = await host.look();
    for (const input of [1, 500, 3_000, 5_000, 5_300, 5_400]) {
      expect(await host.apply({ ...QUIET, input })).toMatch(/^live\.(backup-failed|unproven)$/);
      expect(await host.look()).toBe(before);
      expect(await readdir(host.place)).not.toContain('backups');
    }
  });

  test('does not overwrite what somebody has changed: neither when it is applied nor when it is undone', async () => {
    await host.make();
    await writeFile(join(host.root, 'etc/fstab'), 'mine\n');
    const before = await host.look();
    const late = applyChanges(host.shell(QUIET), host.changes, { id: ID, digest: '', base: host.base });
    await expect(late).rejects.toMatchObject({
      code: 'live.changed',
      message: expect.stringContaining('etc/fstab'),
    });
    expect(await host.look()).toBe(before);

    await host.make();
    expect(await host.apply(QUIET)).toBe('applied');
    await writeFile(join(host.root, 'etc/fstab'), 'mine again\n');
    const mine = await host.look();
    await expect(host.rollback()).rejects.toMatchObject({ code: 'live.changed' });
    expect(await host.look()).toBe(mine);
    await host.restore('--keep-changed');
    expect(await readFile(join(host.root, 'etc/fstab'), 'utf8')).toBe('mine again\n');
    expect(await readFile(join(host.root, 'etc/gone'), 'utf8')).toBe('to be removed\n');
  });

  test('is undone whole or not at all when any tool fails, and later if it was killed at any step', async () => {
    await host.make();
    const before = await host.look();
    expect(await host.apply(QUIET, host.ofEachKind())).toBe('applied');
    const after = await host.look();
    const states = new Set([...filesOf(before), ...filesOf(after)]);
    await host.save();
    for (const fault of ['fail', 'kill'] as const) {
      const steps = await host.everyStepBack(fault, async (_, step) => {
        const now = await host.look();
        for (const line of filesOf(now)) expect(states).toContain(line);
        if (fault === 'fail') expect(now).not.toContain('.hyper2kvm-');
        // The first copy fails before anything is replaced.
        if (step === 1) expect(filesOf(now)).toEqual(expect.arrayContaining(filesOf(after)));
        await host.restore();
        expect(await host.look()).toBe(before);
        expect(await readdir(join(host.base, ID))).toContain('restored');
      });
      expect(steps).toBeGreaterThan(10);
    }
  });

  test('says that it could not be undone when the room for the old files is gone', async () => {
    await host.make();
    expect(await host.apply(QUIET)).toBe('applied');
    const after = await host.look();
    // A copy that cannot be made, as on a full disk.
    await rm(join(host.base, ID, '1'));
    await expect(host.rollback()).rejects.toMatchObject({
      code: 'live.not-restored',
      message: expect.stringContaining("boot/it's an initrd could not be copied back"),
    });
    expect(await host.look()).toBe(after);
  });

  test('refuses an immutable file before anything is changed', async () => {
    await host.make();
    await run('chattr', ['+i', join(host.root, 'etc/fstab')]);
    try {
      const before = await host.look();
      expect(await host.apply(QUIET)).toBe('live.not-writable');
      expect(await host.look()).toBe(before);
    } finally {
      await run('chattr', ['-i', join(host.root, 'etc/fstab')]);
    }
  });

  test('refuses a directory for backups that others may enter', async () => {
    await host.make();
    await mkdir(host.base, { mode: 0o755 });
    expect(await host.apply(QUIET)).toBe('live.not-writable');
  });
});
