import type { BootPatterns, LevelPattern, Signature } from '../base/boot-patterns.js';
import { FIRMWARE_LEVELS, FIRMWARE_SIGNATURES } from '../base/firmware-patterns.js';
import { SIGNATURES, stopped } from './boot-signatures.js';
import { seeScreen, textOfScreen } from './screens.js';

const LEVELS: readonly LevelPattern[] = [
  ...FIRMWARE_LEVELS,
  {
    level: 'bootloader',
    pattern: /Windows Boot Manager|Windows Error Recovery|Windows failed to start|Choose an operating system/,
  },
  { level: 'kernel', pattern: /^Starting Windows|Getting devices ready|Windows is loading files/ },
  {
    level: 'userspace',
    pattern: /^(?:Press Ctrl ?\+ ?Alt ?\+ ?Del|Getting Windows ready|Please wait for the )/i,
  },
  // One line of the first-boot program on COM1 (first-boot/program/report.c), when all of its steps are over.
  { level: 'login', pattern: /^\{"hyper2kvm_firstboot":\{/ },
];

const NEVER = /(?!)/;

/** Pictures show how far Windows came, and nothing of what it came up with. */
const UNPROVEN: Signature = {
  signature: 'windows-unproven',
  ...{ pattern: NEVER, within: 'login', settleSeconds: 0, inconclusive: true },
  meaning:
    'No failure of Windows was seen, and no proof that it started: only its first-boot program, which writes a line to COM1, proves that. What was seen is in the list of levels and in the screenshots.',
  advice:
    'Look at the last screenshot. Without KVM, or before the first boot has ended, the time limit is mostly too short: raise validate.timeout_seconds, or set validate.required = false and retry, which does not boot the VM again.',
};

export const BOOT_PATTERNS: BootPatterns = {
  levels: LEVELS,
  initramfs: { begins: NEVER, ends: NEVER },
  signatures: [...SIGNATURES, ...FIRMWARE_SIGNATURES, UNPROVEN],
  panic: {
    signature: 'windows-stop',
    pattern: NEVER,
    within: 'login',
    settleSeconds: 2,
    meaning: 'Windows stopped with a blue screen.',
    advice: 'The last screenshot has the stop code: docs/windows.md says what to do.',
  },
  report: null,
  // What Microsoft asks for on 64 bits.
  leastMemoryMib: 2048,
  screens: { see: seeScreen, text: textOfScreen },
  stopped,
  unproven: UNPROVEN,
};
