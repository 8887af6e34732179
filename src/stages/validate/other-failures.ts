/** Ends of a boot that are seen by time and by QEMU's events, whatever the guest prints. */
const OTHER = {
  'reboot-loop': {
    meaning: 'The guest restarted itself three times without coming to its login.',
    advice: 'boot/serial.log and the screenshots show how far each round came.',
  },
  'powered-off': {
    meaning: 'The guest powered itself off while booting.',
    advice: 'The end of boot/serial.log says who asked for it.',
  },
  'cpu-stopped': {
    meaning: 'QEMU stopped the virtual CPU because of an internal error.',
    advice: 'Try validate.accelerator = "tcg": the host’s virtualization does not run this guest.',
  },
  watchdog: {
    meaning: 'The guest’s watchdog fired: it hangs.',
    advice: 'boot/serial.log shows what it did last.',
  },
  stalled: {
    meaning: 'No activity: no console output, no change on the screen, no disk access.',
    advice: 'The last screenshot and the end of boot/serial.log show where it stands.',
  },
  inconclusive: {
    meaning:
      'Could not tell whether it booted: the time limit passed while it was still active, or it gave no readable output.',
    advice:
      'Raise validate.timeout_seconds; for a guest without a readable console look at the last screenshot and set validate.required = false.',
  },
} as const;

export type OtherSignature = keyof typeof OTHER;
export const OTHER_SIGNATURES = Object.keys(OTHER) as OtherSignature[];

/** `validate.<signature>` is the error code. */
export interface Failure {
  signature: string;
  meaning: string;
  advice: string;
}

export function otherFailure(signature: OtherSignature): Failure {
  return { signature, ...OTHER[signature] };
}
