import { guestfsApi, type Signature } from './functions.js';
import { GuestfsError, type Handle, openLibrary } from './guestfs-library.js';
import type { LaunchRequest, Reply, Request } from './messages.js';
import { limited } from './reply-limits.js';

/**
 * The process that holds one libguestfs handle. Calls are synchronous on purpose: the C API keeps its last
 * error per thread, and a hang or a crash here affects only this job; the parent's time limit kills the whole
 * process group. Started by appliance.ts only.
 */
const library = openLibrary();
let handle: Handle | undefined;

process.on('message', (request: Request) => {
  let reply: Reply;
  try {
    reply = { id: request.id, ok: true, result: serve(request) };
  } catch (error) {
    const errno = error instanceof GuestfsError ? error.errno : 0;
    reply = {
      id: request.id,
      ok: false,
      message: error instanceof Error ? error.message : String(error),
      errno,
    };
  }
  process.send?.(reply, undefined, undefined, () => {
    if (request.type === 'close') process.exit(0);
  });
});
process.on('disconnect', () => process.exit(1));

function serve(request: Request): unknown {
  if (request.type === 'launch') return launch(request);
  if (handle === undefined) throw new Error('the appliance is not launched');
  if (request.type === 'close') {
    handle.call('shutdown', { args: [], returns: 'none' }, []);
    handle.close();
    handle = undefined;
    return undefined;
  }
  const signatures: Record<string, Signature | undefined> = guestfsApi;
  const signature = signatures[request.name];
  if (signature === undefined) throw new Error(`unknown libguestfs function ${request.name}`);
  return limited(request.name, handle.call(request.name, signature, request.args));
}

function launch(request: LaunchRequest): { version: string } {
  handle = library.create();
  const set = (name: string, value: string | number) =>
    handle?.call(name, { args: [typeof value === 'string' ? 'string' : 'int'], returns: 'none' }, [value]);
  set('set_backend', 'direct');
  set('set_network', 0);
  set('set_smp', request.smp);
  set('set_memsize', request.memoryMib);
  set('set_cachedir', request.cacheDirectory);
  set('set_autosync', 1);
  handle.call('config', { args: ['string', 'string'], returns: 'none' }, [
    '-qmp',
    `unix:${request.qmpSocket},server=on,wait=off`,
  ]);
  for (const disk of request.disks) {
    handle.call(
      'add_drive_opts',
      {
        args: ['string'],
        returns: 'none',
        options: { format: [1, 'string'], discard: [10, 'string'], blocksize: [12, 'int'] },
      },
      [
        disk.file,
        {
          format: disk.format,
          discard: 'besteffort',
          ...(disk.sectorSize === 512 ? {} : { blocksize: disk.sectorSize }),
        },
      ],
    );
  }
  handle.call('launch', { args: [], returns: 'none' }, []);
  return { version: handle.version() };
}
