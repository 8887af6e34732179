import { expect, it } from 'vitest';
import { asIs } from '../../../../src/families/as-is/family.js';
import { BootRecogniser } from '../../../../src/stages/validate/recogniser.js';

function boot(lines: readonly string[]) {
  const recogniser = new BootRecogniser({ timeoutSeconds: 600, evidenceSeconds: 0 }, asIs.boot);
  for (const [second, line] of lines.entries()) recogniser.serial(Buffer.from(line), second);
  return { level: recogniser.level, verdict: recogniser.verdict(lines.length + 60) };
}

// As FreeBSD 14, OpenBSD 7.5, NetBSD 10 and illumos print it.
it.each([
  [
    'FreeBSD',
    [
      '>> FreeBSD EFI boot block\r\n',
      '---<<BOOT>>---\r\nCopyright (c) 1992-2023 The FreeBSD Project.\r\n',
      'Trying to mount root from ufs:/dev/ada0p2 [rw]...\r\n',
      'Setting hostname: fw.\r\n',
      '\r\nFreeBSD/amd64 (fw) (ttyu0)\r\n\r\nlogin: ',
    ],
  ],
  ['pfSense', ['Trying to mount root from zfs:pfSense/ROOT/default []...\r\n', 'Enter an option: ']],
  [
    'OpenBSD',
    [
      '>> OpenBSD/amd64 BOOT 3.65\r\nboot>\r\n',
      'OpenBSD 7.5 (GENERIC.MP) #82: Wed Mar 20 15:48:40 MDT 2024\r\n',
      'root on sd0a (b8e5e3d6.a) swap on sd0b dump on sd0b\r\n',
      'starting network\r\n',
      'OpenBSD/amd64 (gw.example.org) (tty00)\r\n\r\nlogin: ',
    ],
  ],
  ['illumos', ['SunOS Release 5.11 Version illumos-1 64-bit\r\n', 'Hostname: zone\r\nzone console login: ']],
  ['DOS', ['Starting MS-DOS...\r\n', 'C:\\>']],
  ['Alpine', ['\r\nWelcome to Alpine Linux 3.23\r\n\r\n(none) login: ']],
  ['Linux', ['[    0.000000] Linux version 6.6.1\r\n', 'vyos login: ']],
])('%s is seen to come to its prompt', (_, lines) => {
  expect(boot(lines)).toMatchObject({ level: 'login', verdict: { verdict: 'booted' } });
});

it.each([
  ['bsd-mountroot', ['Trying to mount root from ufs:/dev/da0p2 [rw]...\r\n', 'mountroot> ']],
  ['bsd-single-user', ['Setting hostname: x.\r\n', 'Enter full pathname of shell or RETURN for /bin/sh: ']],
  ['bsd-no-kernel', [">> FreeBSD EFI boot block\r\ncan't load 'kernel'\r\n"]],
  ['bsd-debugger', ['OpenBSD 7.5 (GENERIC)\r\n', 'panic: root device not found\r\n', 'ddb{0}> ']],
])('%s is the failure', (signature, lines) => {
  expect(boot(lines).verdict).toMatchObject({ verdict: 'failed', failure: { signature } });
});

it('a login that a kernel or a log line speaks of is none', () => {
  expect(boot(['FreeBSD 14.1-RELEASE\r\n', 'Last login: Mon Nov 4 on ttyu0\r\n']).level).toBe('kernel');
});
