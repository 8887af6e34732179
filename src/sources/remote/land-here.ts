import type { Land } from './remote-source.js';
import { type UndoBook, undoingOf } from './transports/base/undoing.js';

/**
 * Returns the way to land a VM in this process, which has the network: `convert`, `inspect`, `plan`, which have
 * no book, and a daemon without the fetching unit.
 */
export function landHere(book: UndoBook | null): Land {
  return async (spec, context) => {
    // Loaded only when used: most jobs fetch nothing.
    const { landVm } = await import('./land-vm.js');
    const undoing = await undoingOf(context.job.id, book);
    return landVm(spec, { ...context, config: context.options.config, undoing });
  };
}
