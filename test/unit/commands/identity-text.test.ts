import { expect, test } from 'vitest';
import { identityText } from '../../../src/commands/identity-text.js';
import { inspectWindows } from '../families/windows/inspect-windows.js';
import { windowsDisks } from '../families/windows/make-windows.js';
import { SYSTEMS } from '../families/windows/systems.js';
import { recordingIo } from './support.js';

test('a Windows guest is shown by its own facts, with its adapters', async () => {
  const { recipe, nics = [] } = SYSTEMS['Windows Server 2019, two static vmxnet3, IPv6, a DNS suffix']!;
  const { identity } = await inspectWindows(windowsDisks(recipe), { nics });
  const facts = identityText(recordingIo().io, identity)
    .split('\n')
    .map((line) => line.replace(/ +/, ' '));
  expect(facts).toEqual(
    expect.arrayContaining([
      'os_name Windows Server 2019 Standard',
      'os_distro windows',
      'os_version 2019',
      'build 17763',
      'edition ServerStandard',
      'boot_store /dev/sda1: \\Windows\\system32\\winload.efi, on the root',
      'interface Ethernet0, 00:0c:29:a9:c8:b1 (vmxnet3-id), 10.1.2.3/23, 10.1.2.4/23, 2001:db8::10/64, DNS 10.1.2.5 10.1.2.6 10.1.2.7',
    ]),
  );
  expect(facts.join('\n')).not.toMatch(/initramfs|package_manager|undefined/);
});

test('what a guest calls its adapter cannot control the terminal', async () => {
  const { recipe } = SYSTEMS['Windows 11 on UEFI, which calls itself 10']!;
  const { identity } = await inspectWindows(windowsDisks({ ...recipe, product: 'Windows\x1b[2J 10' }));
  expect(identityText(recordingIo().io, identity)).not.toContain('\x1b[2J');
});
