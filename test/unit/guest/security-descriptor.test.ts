import { expect, it } from 'vitest';
import { protectedDescriptor } from '../../../src/guest/security-descriptor.js';

/** Read by hand after [MS-DTYP]: revision 1, protected, self-relative; DACL at 20, then owner and group. */
it.each([
  ['file', '00'],
  ['directory', '03'],
] as const)('a %s can be changed by SYSTEM and Administrators alone', (type, flags) => {
  const ace = (mask: string, sid: string) =>
    `00${flags}${(8 + sid.length / 2).toString(16).padStart(2, '0')}00${mask}${sid}`;
  const [system, administrators, users] = [
    '010100000000000512000000',
    '01020000000000052000000020020000',
    '01020000000000052000000021020000',
  ] as const;
  expect(protectedDescriptor(type).toString('hex')).toBe(
    [
      '01000490' + '60000000' + '70000000' + '00000000' + '14000000',
      '02004c0003000000',
      ace('ff011f00', system),
      ace('ff011f00', administrators),
      ace('a9001200', users),
      administrators,
      system,
    ].join(''),
  );
});
