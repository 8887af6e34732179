import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { checkVirtioWin } from '../../../../../src/commands/doctor/virtio-win.js';
import { loadConfig } from '../../../../../src/config/load.js';
import { offersOf } from '../../../../../src/families/windows/drivers/offer.js';
import { readCatalogue } from '../../../../../src/families/windows/drivers/read-catalogue.js';
import { listTree } from '../../../../../src/families/windows/drivers/tree.js';
import { driverPackage, makeSigners, writePackage } from './virtio-win.ts';

const scratch = mkdtempSync(join(tmpdir(), 'h2k-offer-'));
afterAll(() => rmSync(scratch, { recursive: true }));

describe('what a virtio-win has for each Windows', () => {
  it('is told by release and architecture', async () => {
    const signers = makeSigners();
    for (const [driver, os, architecture] of [
      ['viostor', 'w10', 'amd64'],
      ['NetKVM', 'w10', 'amd64'],
      ['viostor', '2k19', 'amd64'],
      ['viostor', 'w7', 'x86'],
    ] as const)
      writePackage(
        scratch,
        `${driver}/${os}/${architecture}`,
        driverPackage(driver, architecture, signers.publisher),
      );
    const signal = AbortSignal.timeout(20_000);
    const files = await listTree(scratch, signal);
    const offers = offersOf(await readCatalogue(files, { signal, roots: signers.roots }));
    const table = offers.map(({ windows, set }) => [
      windows,
      set.packages.map(({ name, folder }) => `${name}:${folder.split('/')[1]}`).join(' '),
    ]);
    expect(Object.fromEntries(table)).toEqual({
      'Windows 7 x86': 'viostor:w7',
      'Windows 7 x64': '',
      'Windows 8.1 x86': 'viostor:w7',
      'Windows 8.1 x64': '',
      'Windows 10 x86': '',
      'Windows 10 x64': 'viostor:w10 netkvm:w10',
      'Windows 11 x64': 'viostor:w10 netkvm:w10',
      'Server 2008 R2 x64': '',
      'Server 2012 x64': '',
      'Server 2012 R2 x64': '',
      'Server 2016 x64': 'viostor:w10 netkvm:w10',
      'Server 2019 x64': 'viostor:2k19 netkvm:w10',
      'Server 2022 x64': 'viostor:2k19 netkvm:w10',
      'Server 2025 x64': 'viostor:2k19 netkvm:w10',
    });
  });

  it('is shown by doctor, with what is wrong with it', async () => {
    const virtioWin = (path: string) => ({
      config: loadConfig({ env: { HYPER2KVM_WINDOWS_VIRTIO_WIN: path }, flags: {} }).config,
      env: {},
      signal: AbortSignal.timeout(20_000),
    });
    expect(await checkVirtioWin(virtioWin(''))).toMatchObject([{ name: 'virtio-win', status: 'ok' }]);
    expect(await checkVirtioWin(virtioWin(join(scratch, 'missing')))).toMatchObject([
      { name: 'virtio-win', status: 'fail', detail: expect.stringContaining('cannot read') },
    ]);
    // The lab's publisher is none of Microsoft's.
    const [head, ...rows] = await checkVirtioWin(virtioWin(scratch));
    expect(head).toMatchObject({ name: 'virtio-win', status: 'warn' });
    expect(head?.detail).toContain('(directory): 4 folders with drivers; no guest agent');
    const row = (name: string) => rows.find((finding) => finding.name === name);
    expect(row('Windows 10 x64')).toMatchObject({ status: 'warn' });
    expect(row('Windows 10 x64')?.detail).toContain(
      'viostor/w10/amd64/viostor.sys is signed by Lab Hardware Compatibility Publisher',
    );
    expect(row('Windows 7 x64')?.detail).toBe('no viostor, netkvm in a folder w7, 2k8r2');
    expect(rows).toHaveLength(14);
  });
});
