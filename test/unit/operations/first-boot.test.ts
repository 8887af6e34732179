import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { NTFS_ACL, protectedDescriptor } from '../../../src/guest/security-descriptor.js';
import { GuestTree } from '../../../src/guest/tree.js';
import { applyOperations } from '../../../src/operations/apply-operations.js';
import { type FirstBoot, firstBoot } from '../../../src/operations/first-boot.js';
import { memoryWriter } from '../access/memory-writer.js';
import { guestOf } from '../families/guests.js';

const DIRECTORY = '/Program Files/hyper2kvm/firstboot';
const STEPS = `${DIRECTORY}/steps`;
const FILES = [`${DIRECTORY}/plan.tsv`, `${DIRECTORY}/h2kfirst.exe`, `${STEPS}/10.cmd`, `${STEPS}/20.cmd`];
const context = { signal: new AbortController().signal, listings: {} };

function operation(): FirstBoot {
  const host = mkdtempSync(join(tmpdir(), 'h2k-first-boot-'));
  onTestFinished(() => rmSync(host, { recursive: true }));
  const [program, ...scripts] = ['h2kfirst.exe', '10.cmd', '20.cmd'].map((name) => {
    const source = join(host, name);
    writeFileSync(source, name);
    const sha256 = createHash('sha256').update(name).digest('hex');
    const path = name.endsWith('.exe') ? `${DIRECTORY}/${name}` : `${STEPS}/${name}`;
    return { source, size: name.length, sha256, path };
  });
  return {
    ...{ op: 'first_boot', fixer: 'first-boot', reason: 'once it runs' },
    ...{ path: `${DIRECTORY}/plan.tsv`, text: 'plan', program: program ?? null, scripts },
    directories: ['/Program Files/hyper2kvm', DIRECTORY, STEPS],
  };
}

it('writes the plan, the program and the batch files, so that only SYSTEM and Administrators may change them', async () => {
  const planned = operation();
  const guest = memoryWriter({ [`${STEPS}/10.cmd`]: 'of an earlier conversion' });
  await firstBoot.execute(guest, planned, context);
  const contents = ['plan', 'h2kfirst.exe', '10.cmd', '20.cmd'];
  expect(FILES.map((path) => guest.files.get(path)?.toString())).toEqual(contents);
  for (const path of FILES)
    expect(guest.xattrs.get(`${path}\0${NTFS_ACL}`)).toEqual(protectedDescriptor('file'));
  for (const path of planned.directories)
    expect(guest.xattrs.get(`${path}\0${NTFS_ACL}`)).toEqual(protectedDescriptor('directory'));
});

it('refuses a batch file that was changed after PLAN', async () => {
  const planned = operation();
  writeFileSync(planned.scripts[1]!.source, '21.cmd');
  await expect(firstBoot.execute(memoryWriter({}), planned, context)).rejects.toMatchObject({
    code: 'fix.drivers-changed',
  });
});

it('shows each file with its place on the host and in the guest', () => {
  const planned = operation();
  const { text, remarks } = firstBoot.diff(planned);
  expect(text?.after).toBe('plan');
  const [, script] = planned.scripts;
  expect(remarks).toContain(
    `copy ${script?.source} of this host -> ${STEPS}/20.cmd (sha256 ${script?.sha256})`,
  );
  expect(remarks).toHaveLength(4);
});

it('leaves them in the planned guest, where a later fixer sees them', () => {
  const { tree } = applyOperations({ ...guestOf({}), tree: new GuestTree([]) }, [operation()]);
  for (const path of FILES) expect(tree.get(path)?.type).toBe('file');
  expect(tree.list(STEPS)).toEqual(['10.cmd', '20.cmd']);
});
