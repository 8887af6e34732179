import { describe, expect, it } from 'vitest';
import { BOOT_PATTERNS } from '../../../../src/families/windows/boot-patterns.js';
import { STOP_CODES } from '../../../../src/families/windows/stop-codes.js';
import { BootRecogniser, type RecogniserLimits } from '../../../../src/stages/validate/recogniser.js';

const recogniser = (limits: Partial<RecogniserLimits> = {}) =>
  new BootRecogniser({ timeoutSeconds: 600, evidenceSeconds: 0, ...limits }, BOOT_PATTERNS);
const BLUE = { kind: 'blue', text: 'a blue screen with text', level: 'bootloader' } as const;
const SPINNER = { kind: 'spinner', text: 'it turns', level: 'kernel' } as const;
const COLOURS = { kind: 'colours', text: 'a picture', level: 'userspace', after: 'kernel' } as const;

function failureOf(text: string): string | undefined {
  const boot = recogniser();
  boot.screen(text, 10);
  return boot.verdict(200)?.failure?.signature;
}

/** Texts as Microsoft's pages quote them, and as a program reads them from a picture. */
describe.each([
  ['*** STOP: 0x0000007B (0xFFFFF880009A97E8,0xFFFFFFFFC0000034)', 'windows-stop-7b'],
  ['xxx STOP: ©xOOGQ007B (OxFFFFFS80Q09A97ES , OxFFFFFFFFCOOQGOG4 )', 'windows-stop-7b'],
  ['eex STOP: G-QO00007B (OxFFFFFOGQQQ9A97ES , OxFFFFFFFFCOQQOO34 )', 'windows-stop-7b'],
  ['*** STOP: 0x0000007B (0x80786B58,0xC0000034,0x00000000,0x00000000)', 'windows-stop-7b'],
  ['Stop code: INACCESSIBLE BOOT DEVICE', 'windows-stop-7b'],
  ['Stillstandscode: INACCESSIBLE_BOOT_DEVICE', 'windows-stop-7b'],
  ['If you’d like to know more, search later: UNMOUNTABLE_BOOT_VOLUME', 'windows-stop-ed'],
  ['STOP: c000021a {Fatal System Error}', 'windows-stop-c000021a'],
  ['*** STOP: 0xC000021A (0x00000000', 'windows-stop-c000021a'],
  ['*** STOP: 0x000000D1 (0x', 'windows-stop-d1'],
  ['*** STOP: 0x0000000A (0x', 'windows-stop-a'],
  ['*** STOP: 0x1000007E (0x', 'windows-stop-1000007e'],
  ['Stop code: DRIVER IRQL NOT LESS OR EQUAL', 'windows-stop-d1'],
  ['*** STOP: 0x00000BAD (0x', 'windows-stop'],
  ['Your PC ran into a problem and needs to restart.', 'windows-stop'],
  ['    Status: 0xc000000e', 'windows-boot-store'],
  ['Error code: 0xc0000225', 'windows-boot-store'],
  ['Error code: OxcOOOOO0f', 'windows-boot-store'],
  ['    Status: 0xc0000428', 'windows-boot-signature'],
  ['    Status: 0xc0000359', 'windows-boot-driver'],
  ['    Status: 0xc000014c', 'windows-boot-registry'],
  ['    Status: 0xc0000185', 'windows-boot-disk'],
  ['    Status: 0xc0000099', 'windows-boot-manager'],
  ['Windows Error Recovery', 'windows-recovery'],
  ['Preparing Automatic Repair', 'windows-recovery'],
  ['BOOTMGR is missing', 'windows-loader'],
])('%s', (text, signature) => {
  it(`is ${signature}`, () => {
    expect(failureOf(text)).toBe(signature);
  });
});

describe('a stop', () => {
  it('has its number from Windows itself, by Hyper-V’s interface', () => {
    const boot = recogniser();
    const info = { type: 'hyper-v', arg1: 0x7b, arg2: 1, arg3: 2, arg4: 3, arg5: 4 };
    boot.event({ name: 'GUEST_PANICKED', data: { action: 'run', info } }, 5);
    expect(boot.verdict(6)).toMatchObject({
      verdict: 'failed',
      failure: {
        signature: 'windows-stop-7b',
        meaning: expect.stringMatching(/0x0000007B, INACCESSIBLE_BOOT_DEVICE: .*driver/),
      },
    });
  });

  it('with a number that is not in the list has it in its code, and the general advice', () => {
    const boot = recogniser();
    boot.event({ name: 'GUEST_PANICKED', data: { info: { type: 'hyper-v', arg1: 0xbad } } }, 5);
    expect(boot.verdict(6)?.failure).toMatchObject({ signature: 'windows-stop-bad' });
  });

  it('without one is a stop all the same, whatever QEMU says of it', () => {
    for (const info of [undefined, null, 'x', { type: 's390' }, { type: 'hyper-v', arg1: '7b' }]) {
      const boot = recogniser();
      boot.event({ name: 'GUEST_PANICKED', data: { info } }, 5);
      expect(boot.verdict(6)?.failure?.signature).toBe('windows-stop');
    }
  });

  it.each(STOP_CODES)(
    '$name is known by its name, with blanks or without, and by its number',
    ({ code, name }) => {
      const signature = `windows-stop-${code.toString(16)}`;
      expect(failureOf(`Stop code: ${name}`)).toBe(signature);
      expect(failureOf(`Stop code: ${name.replaceAll('_', ' ')}`)).toBe(signature);
      const number = code.toString(16).toUpperCase().padStart(8, '0');
      expect(failureOf(`*** STOP: 0x${number} (0x00000001, 0x00000002`)).toBe(signature);
    },
  );

  it('has each number and each name once', () => {
    expect(new Set(STOP_CODES.map(({ code }) => code)).size).toBe(STOP_CODES.length);
    expect(new Set(STOP_CODES.map(({ name }) => name)).size).toBe(STOP_CODES.length);
  });
});

describe('a blue screen without readable text', () => {
  it('is a failure when it stays, and none when it goes', () => {
    const boot = recogniser();
    boot.picture(BLUE, 10);
    expect(boot.verdict(30)).toBeNull();
    boot.picture(BLUE, 71);
    expect(boot.verdict(71)).toMatchObject({ failure: { signature: 'windows-blue-screen' } });
    boot.picture(null, 72);
    expect(boot.verdict(73)).toBeNull();
  });

  it('yields to what its text says', () => {
    const boot = recogniser();
    boot.picture(BLUE, 10);
    boot.screen('Stop code: INACCESSIBLE_BOOT_DEVICE', 20);
    boot.picture(BLUE, 25);
    expect(boot.verdict(26)?.failure?.signature).toBe('windows-stop-7b');
  });
});

describe('a start that only pictures show', () => {
  it('is never a proof, however far they go', () => {
    const boot = recogniser();
    boot.picture(COLOURS, 5);
    expect(boot.level).toBe('none');
    boot.picture(SPINNER, 20);
    boot.picture(COLOURS, 60);
    expect(boot.level).toBe('userspace');
    boot.activity({ operations: 9000, readBytes: 1 << 30, picture: 'a' }, 599);
    expect(boot.verdict(600)).toMatchObject({
      verdict: 'inconclusive',
      failure: { signature: 'windows-unproven', meaning: expect.stringContaining('no proof') },
    });
    expect(boot.evidence.map(({ level, source }) => [level, source])).toEqual([
      ['kernel', 'screen'],
      ['userspace', 'screen'],
    ]);
  });

  it('is proven by the line of the first-boot program on COM1 alone', () => {
    const boot = recogniser();
    boot.picture(SPINNER, 20);
    boot.serial(Buffer.from('\r\n{"hyper2kvm_firstboot":{"done":["drivers"],"passed":[]}}\r\n'), 90);
    expect(boot.verdict(91)).toMatchObject({ verdict: 'booted', failure: null });
    expect(boot.evidence.at(-1)).toMatchObject({ level: 'login', source: 'serial' });
  });

  it('is not looked for right after a reset, while the old picture is still there', () => {
    const boot = recogniser();
    boot.event({ name: 'RESET', data: { guest: true } }, 10);
    boot.picture(BLUE, 11);
    expect(boot.level).toBe('none');
  });
});
