import { readFileSync } from 'node:fs';

const UNIT = new URL('../../systemd/hyper2kvm.service', import.meta.url);

/** Returns the options of Node with which the service starts the daemon: figures of its memory depend on them. */
export function unitNodeOptions(): string {
  const options = /^Environment=NODE_OPTIONS=(.+)$/m.exec(readFileSync(UNIT, 'utf8'))?.[1];
  if (options === undefined) throw new Error('systemd/hyper2kvm.service sets no NODE_OPTIONS');
  return options;
}
