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
    meaning: 'Nothing moved any more: no console output, no new picture, no disk access.',
    advice: 'The last screenshot and the end of boot/serial.log show where it stands.',
  },
  inconclusive: {
    meaning: 'Whether it booted cannot be said: time ran out while it still moved, or it says nothing.',
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
