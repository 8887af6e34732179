/**
 * Runs `work` on every item, at most `limit` at once, and returns the results in the items' order. After the
 * first failure nothing new starts, running work is aborted, and the promise rejects only when all of it has
 * ended, so that the caller may clean up at once.
 */
export async function eachDisk<Item, Result>(
  items: readonly Item[],
  { limit, signal }: { limit: number; signal: AbortSignal },
  work: (item: Item, signal: AbortSignal) => Promise<Result>,
): Promise<Result[]> {
  const abort = new AbortController();
  const together = AbortSignal.any([signal, abort.signal]);
  const results = new Map<number, Result>();
  let failure: { error: unknown } | null = null;
  let next = 0;
  const worker = async () => {
    while (failure === null && next < items.length) {
      const index = next++;
      try {
        together.throwIfAborted();
        results.set(index, await work(items[index]!, together));
      } catch (error) {
        failure ??= { error };
        abort.abort(error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
  const failed = failure as { error: unknown } | null;
  if (failed !== null) throw failed.error;
  return items.map((_item, index) => results.get(index) as Result);
}

/** Runs two pieces of work side by side; after a failure of one the other is aborted, as `eachDisk` does. */
export async function both<First, Second>(
  signal: AbortSignal,
  first: (signal: AbortSignal) => Promise<First>,
  second: (signal: AbortSignal) => Promise<Second>,
): Promise<[First, Second]> {
  const work = [first, second] as const;
  const results = await eachDisk<(typeof work)[number], First | Second>(
    work,
    { limit: work.length, signal },
    (run, signal) => run(signal),
  );
  return results as [First, Second];
}
