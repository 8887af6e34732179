import { text } from 'node:stream/consumers';
import { openLibrary } from '#hyper2kvm/appliance/guestfs-library.js';
import type { ApplianceScript } from './run-in-appliance.ts';

/** The child of run-in-appliance.ts: the request is on stdin. */
try {
  runScript(JSON.parse(await text(process.stdin)) as ApplianceScript);
} catch (error) {
  // The script's own output is in the message; its end says what failed.
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(`${message.trim().slice(-1500)}\n`);
  process.exitCode = 1;
}

function runScript({ disks, script }: ApplianceScript): void {
  const guestfs = openLibrary().create();
  const set = (name: string, value: number) =>
    guestfs.call(name, { args: ['int'], returns: 'none' }, [value]);
  set('set_network', 0);
  set('set_smp', 2);
  set('set_memsize', 1536);
  for (const { file, format, readonly } of disks)
    guestfs.call(
      'add_drive_opts',
      { args: ['string'], returns: 'none', options: { readonly: [0, 'boolean'], format: [1, 'string'] } },
      [file, readonly ? { format, readonly } : { format }],
    );
  guestfs.call('launch', { args: [], returns: 'none' }, []);
  guestfs.call('debug', { args: ['string', 'strings'], returns: 'string' }, ['sh', [script]]);
  guestfs.call('shutdown', { args: [], returns: 'none' }, []);
  guestfs.close();
}
