import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { applyScript } from '../../../src/ssh/apply-script.js';
import type { Change } from '../../../src/ssh/changes.js';
import { restoreScript } from '../../../src/ssh/restore-script.js';

const ID = '20260301T090000Z-1a2b3c';
const SECRET = 'password=hunter2';
const bytes = Buffer.from(SECRET);
const after: Change['after'] = {
  type: 'file',
  sha256: createHash('sha256').update(bytes).digest('hex'),
  size: bytes.length,
  mode: 0o600,
  content: { kind: 'bytes', bytes },
};
const at = (path: string): Change => ({
  path,
  before: { type: 'absent' },
  after,
  missing: [],
  device: 1,
  names: 1,
});
const changes = [at('/etc/fstab'), at("/boot/-it's; touch $(id)"), at('/etc/a\nb')];

const applied = applyScript(changes, {
  ...{ base: '/var/lib/x', id: ID, rooms: [{ directory: '/boot', bytes: 1 }] },
  files: { manifest: Buffer.from('{}'), restore: Buffer.from('x') },
});
const scripts = [applied.script, restoreScript(changes, ID)];

test('no script has a file’s content, which is sent as input', () => {
  for (const script of scripts) expect(script).not.toContain('hunter2');
  expect(applied.input.toString()).toContain(SECRET);
});

test('no failure is ignored, nothing is removed with what is in it, and no file is made elsewhere', () => {
  for (const script of scripts) {
    expect(script).not.toMatch(/\|\| *(true|:)|rm +-\w*r|--recursive|\/tmp|mktemp/);
    // A new file lies beside the one that it replaces, so that it is renamed and never copied.
    for (const name of ['/etc/.fstab.hyper2kvm-', '/boot/.-it', '/etc/.a\nb.hyper2kvm-'])
      expect(script).toContain(name);
  }
});
