/** Partition types of an EFI system partition: GPT's, and the rare one of an MBR. */
export const ESP_TYPES: ReadonlySet<string> = new Set(['c12a7328-f81f-11d2-ba4b-00a0c93ec93b', '0xef']);
