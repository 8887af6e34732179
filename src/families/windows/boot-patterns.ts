import type { BootPatterns, LevelPattern, Signature } from '../base/boot-patterns.js';
import { FIRMWARE_LEVELS, FIRMWARE_SIGNATURES } from '../base/firmware-patterns.js';

/** Only the boot manager writes text that a console or a screen in text mode shows. */
const LEVELS: readonly LevelPattern[] = [
  ...FIRMWARE_LEVELS,
  { level: 'bootloader', pattern: /Windows Boot Manager|Windows Error Recovery|Starting Windows/ },
];

const SIGNATURES: readonly Signature[] = [
  {
    signature: 'windows-boot-manager',
    pattern: /Status: 0xc[0-9a-f]{7}\b/i,
    within: 'bootloader',
    settleSeconds: 5,
    meaning: 'The boot manager of Windows could not start it.',
    advice:
      'The screenshot has its status: 0xc000000e and 0xc0000225 are a boot configuration that names another disk, 0xc0000428 is a driver without a valid signature.',
  },
  ...FIRMWARE_SIGNATURES,
];

const NEVER = /(?!)/;

export const BOOT_PATTERNS: BootPatterns = {
  levels: LEVELS,
  initramfs: { begins: NEVER, ends: NEVER },
  signatures: SIGNATURES,
  panic: {
    signature: 'windows-stop',
    pattern: NEVER,
    within: 'login',
    settleSeconds: 2,
    meaning: 'Windows stopped with a blue screen.',
    advice: 'The screenshot has the stop code: 0x7B is a missing storage driver.',
  },
  report: null,
};
