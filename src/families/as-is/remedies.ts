import { BIOS_OR_UEFI } from '../base/firmware-remedies.js';
import type { Remedy } from '../base/remedy.js';

/** What is tried after a failed boot of a system that nothing can be changed in. */
export const REMEDIES: readonly Remedy[] = BIOS_OR_UEFI;
