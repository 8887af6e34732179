/**
 * Places where a test lets the daemon die as by kill -9 or power loss: between an effect and the record of it. Off unless
 * HYPER2KVM_FAILPOINT names one; production never sets it.
 */
export type Failpoint =
  | `stage.${string}.running`
  | `stage.${string}.before-checkpoint`
  | `stage.${string}.after-checkpoint`
  | `claim.${'recorded' | 'moved-first' | 'moved'}`
  | `finish.before-${'publish' | 'commit' | 'removal'}`;

const armed = process.env.HYPER2KVM_FAILPOINT;

export function failpoint(name: Failpoint): void {
  if (armed === name) process.kill(process.pid, 'SIGKILL');
}
