import { readFile } from 'node:fs/promises';
import { openLibrary } from '../guest/guestfs-library.js';

/** `node appliance-script.js REQUEST`: runs a shell script in a libguestfs appliance with the given raw disks and, last and read-only, an archive. */
interface Request {
  disks: string[];
  archive: string;
  script: string;
}
try {
  const [, , file = ''] = process.argv;
  runScript(JSON.parse(await readFile(file, 'utf8')) as Request);
} catch (error) {
  // The script's own output is in the message; its end says what failed.
  const text = error instanceof Error ? error.message : String(error);
  process.stderr.write(`${text.trim().slice(-1500)}\n`);
  process.exitCode = 1;
}

function runScript(request: Request): void {
  const guestfs = openLibrary().create();
  const set = (name: string, value: number) =>
    guestfs.call(name, { args: ['int'], returns: 'none' }, [value]);
  set('set_network', 0);
  set('set_smp', 2);
  set('set_memsize', 1536);
  const add = (disk: string, options: Record<string, unknown>) =>
    guestfs.call(
      'add_drive_opts',
      { args: ['string'], returns: 'none', options: { readonly: [0, 'boolean'], format: [1, 'string'] } },
      [disk, { format: 'raw', ...options }],
    );
  for (const disk of request.disks) add(disk, {});
  add(request.archive, { readonly: true });
  guestfs.call('launch', { args: [], returns: 'none' }, []);
  const output = guestfs.call('debug', { args: ['string', 'strings'], returns: 'string' }, [
    'sh',
    [request.script],
  ]);
  process.stdout.write(String(output));
  guestfs.call('shutdown', { args: [], returns: 'none' }, []);
  guestfs.close();
}
