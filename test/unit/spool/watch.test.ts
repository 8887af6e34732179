import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { IncomingWatch } from '../../../src/spool/watch.js';
import { silent } from '../engine/fakes.js';
import { scratchDirectory } from '../queue/scratch.js';

async function watched() {
  const directory = scratchDirectory();
  mkdirSync(join(directory, 'incoming', 'old'), { recursive: true });
  writeFileSync(join(directory, 'incoming', 'a.vmdk.part'), '');
  const hints = new Set<string>();
  const watch = new IncomingWatch({
    directory: join(directory, 'incoming'),
    onHint: (name) => void hints.add(name),
    log: silent,
  });
  watch.start();
  onTestFinished(() => watch.stop());
  await sleep(300);
  const hinted = async (name: string) => {
    for (let tries = 0; tries < 100 && !hints.has(name); tries += 1) await sleep(20);
    return hints.has(name);
  };
  return { incoming: join(directory, 'incoming'), hints, hinted };
}

describe('IncomingWatch', () => {
  it('hints at a file that is renamed into place or written to', async () => {
    const { incoming, hinted, hints } = await watched();
    renameSync(join(incoming, 'a.vmdk.part'), join(incoming, 'a.vmdk'));
    expect(await hinted('a.vmdk')).toBe(true);
    hints.clear();
    writeFileSync(join(incoming, 'a.vmdk'), 'more');
    expect(await hinted('a.vmdk')).toBe(true);
  });

  it('hints at a directory when something inside it changes, a new one included', async () => {
    const { incoming, hinted, hints } = await watched();
    writeFileSync(join(incoming, 'old', 'disk.vmdk'), '');
    expect(await hinted('old')).toBe(true);
    mkdirSync(join(incoming, 'new'));
    expect(await hinted('new')).toBe(true);
    await sleep(300);
    hints.clear();
    writeFileSync(join(incoming, 'new', 'disk.vmdk'), '');
    expect(await hinted('new')).toBe(true);
  });
});
