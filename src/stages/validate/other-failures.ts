/** Failures that are recognised by time and by QEMU's events, whatever the guest prints. */
const OTHER = {
  'reboot-loop': {
    meaning: 'The guest restarted itself three times without reaching its login prompt.',
    advice: 'boot/serial.log and the screenshots show how far each attempt came.',
  },
  'powered-off': {
    meaning: 'The guest powered itself off while booting.',
    advice: 'The end of boot/serial.log shows what requested it.',
  },
  'cpu-stopped': {
    meaning: 'QEMU stopped the virtual CPU because of an internal error.',
    advice: 'Try validate.accelerator = "tcg": the host’s virtualization cannot run this guest.',
  },
  watchdog: {
    meaning: 'The guest hung: its watchdog fired.',
    advice: 'boot/serial.log shows what it did last.',
  },
  stalled: {
    meaning: 'No activity: no console output, no change on the screen, no disk access.',
    advice: 'The last screenshot and the end of boot/serial.log show where it stopped.',
  },
  inconclusive: {
    meaning:
      'Could not tell whether it booted: the time limit passed while it was still active, or it gave no readable output.',
    advice:
      'Raise validate.timeout_seconds; for a guest without a readable console, check the last screenshot and set validate.required = false.',
  },
} as const;

export type OtherSignature = keyof typeof OTHER;
export const OTHER_SIGNATURES = Object.keys(OTHER) as OtherSignature[];

/** `validate.<signature>` is the error code. */
export interface Failure {
  signature: string;
  meaning: string;
  advice: string;
  /** As in the model: what the guest names as failed. */
  named?: string[] | undefined;
}

export function otherFailure(signature: OtherSignature): Failure {
  return { signature, ...OTHER[signature] };
}
