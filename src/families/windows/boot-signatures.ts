import type { Signature } from '../base/boot-patterns.js';
import { codeText, STOP_CODES, type StopCode, stopAdvice } from './stop-codes.js';

const NEVER = /(?!)/;
const ZERO = '[0oqg©]';
const MISTAKES: Readonly<Record<string, string>> = { 0: ZERO, 1: '[1il]', 8: '[8b]', 5: '[5s]' };
/** What `screens.ts` calls a blue screen. */
export const BLUE = 'blue';

interface BootStatus {
  signature: string;
  codes: readonly string[];
  meaning: string;
  advice: string;
}

/** Statuses of Windows' boot manager and loader, by what is wrong. */
const STATUSES: readonly BootStatus[] = [
  {
    signature: 'windows-boot-signature',
    codes: ['c0000428', 'c0000603'],
    meaning: 'Windows’ loader refused a file for its signature.',
    advice:
      'The screen names the file. A driver of virtio-win with a signature of its own maker (0.1.240’s for Windows 8 and 2012) is not loaded: give another virtio-win and retry the job.',
  },
  {
    signature: 'windows-boot-driver',
    codes: ['c0000359', 'c000035a', 'c000007b', 'c0000221'],
    meaning:
      'Windows’ loader could not use a file that it starts with: it is damaged, or for another processor.',
    advice:
      'The screen names the file. Replace it on the source, or give another virtio-win, and retry the job.',
  },
  {
    signature: 'windows-boot-registry',
    codes: ['c000014c', 'c0000218'],
    meaning: 'Windows’ loader could not use the registry.',
    advice: 'Start the source on the old hypervisor, shut it down cleanly and export again.',
  },
  {
    signature: 'windows-boot-bitlocker',
    codes: ['c0210000'],
    meaning: 'The system volume is encrypted and its key is not there.',
    advice: 'The key was in the old machine’s TPM: turn BitLocker off on the source and export again.',
  },
  {
    signature: 'windows-boot-store',
    codes: ['c000000e', 'c0000225', 'c000000f', 'c000000d', 'c0000034', 'c0000098', 'c00000ba'],
    meaning: 'Windows’ boot manager did not find what the boot configuration (BCD) names.',
    advice:
      'Are all disks of the VM in the drop, in their order? Else write the boot files again on the source with `bcdboot C:\\Windows`.',
  },
  {
    signature: 'windows-boot-disk',
    codes: ['c00000e9', 'c0000185', 'c000009c'],
    meaning: 'Windows’ boot manager could not read a disk.',
    advice: 'boot/serial.log and the job’s log may have the disk’s error: check the source disk for damage.',
  },
];

/** The ways in which the boot of Windows fails, ordered from specific to general. */
export const SIGNATURES: readonly Signature[] = [
  // First, as their parameters may be statuses.
  ...STOP_CODES.map(stopSignature),
  ...STATUSES.map(
    ({ signature, codes, meaning, advice }): Signature => ({
      ...{ signature, meaning: `${meaning} (${codes.map((code) => `0x${code}`).join(', ')})`, advice },
      pattern: new RegExp(`${ZERO}x(?:${codes.map(mistakable).join('|')})\\b`, 'i'),
      ...{ within: 'kernel', settleSeconds: 5 },
    }),
  ),
  {
    signature: 'windows-boot-manager',
    pattern: /[0oqg©]xc[0-9a-foqg©]{7}\b/i,
    ...{ within: 'bootloader', settleSeconds: 10 },
    meaning: 'The boot manager of Windows could not start it.',
    advice: 'The screenshot has its status and the file that it is about.',
  },
  {
    signature: 'windows-recovery',
    pattern:
      /Windows Error Recovery|Preparing Automatic Repair|Diagnosing your PC|Automatic Repair|Choose an option|(?:Your|The) (?:PC|device|computer) (?:\/device )?(?:needs to be repaired|couldn.t start)|It looks like Windows didn.t load correctly/i,
    ...{ within: 'userspace', settleSeconds: 30 },
    meaning: 'Windows did not start and shows its recovery.',
    advice:
      'An earlier start failed, here or on the old hypervisor: the screenshots before the last may have a stop code. Start the source once to its desktop, shut it down and export again.',
  },
  {
    signature: 'windows-stop',
    pattern:
      /STOP: ?[0oqg©]x[0-9a-foqg©]{8}|Your (?:PC|device) ran into a problem|A problem has been detected and Windows/i,
    ...{ within: 'login', settleSeconds: 10 },
    meaning: 'Windows stopped with a blue screen.',
    advice: stopAdvice({ cause: 'other' }).advice,
  },
  {
    signature: 'windows-blue-screen',
    ...{ pattern: NEVER, picture: BLUE, within: 'userspace', settleSeconds: 60 },
    meaning:
      'The screen is blue with text on it: a stop of Windows, or its recovery. Its text could not be read.',
    advice:
      'Look at the last screenshot: docs/windows.md says what to do on each code. With tesseract-ocr installed, the code is read from the picture.',
  },
];

/** The failure for the code that Windows gave Hyper-V's interface when it stopped. */
export function stopped(code: number): Signature {
  const known = STOP_CODES.find((stop) => stop.code === code);
  return stopSignature(known ?? { code, name: 'a code that is not in the list', cause: 'other' });
}

function stopSignature({ code, name, cause }: StopCode): Signature {
  const { meaning, advice } = stopAdvice({ cause });
  const digits = code.toString(16);
  return {
    signature: `windows-stop-${digits}`,
    // The name has blanks on some releases; the number has leading zeroes, and no `0x` on XP.
    pattern: new RegExp(
      `\\b${name.replaceAll('_', '[_ ]?')}\\b|STOP: ?(?:${ZERO}\\S)?${ZERO}*${mistakable(digits)}\\b`,
      'i',
    ),
    ...{ within: 'login', settleSeconds: 5 },
    meaning: `Windows stopped with ${codeText(code)}, ${name}: ${meaning}.`,
    advice,
  };
}

/** Digits as they are, or as a program that reads pictures takes them: VGA's zero has a line through it. */
function mistakable(digits: string): string {
  return digits.replace(/0|1|8|5/g, (digit) => MISTAKES[digit] ?? digit);
}
