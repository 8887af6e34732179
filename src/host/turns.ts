import { setImmediate as nextTurn } from 'node:timers/promises';

/** How long a loop may run before it yields. */
const TURN_MILLISECONDS = 20;
/** Reading the clock costs more than most steps of a loop. */
const STEPS_PER_CHECK = 256;

/**
 * Keeps a long loop from blocking the event loop: `if (turns.isOver()) await turns.next()` in each step. An
 * unconditional `await` would cost more than the step.
 */
export class Turns {
  #steps = 0;
  #startedAt = performance.now();

  isOver(): boolean {
    this.#steps += 1;
    if (this.#steps < STEPS_PER_CHECK) return false;
    this.#steps = 0;
    return performance.now() - this.#startedAt > TURN_MILLISECONDS;
  }

  async next(): Promise<void> {
    await nextTurn();
    this.#startedAt = performance.now();
  }
}

/** Applies `use` to each item, yielding to the event loop. */
export async function eachInTurns<Item>(items: Iterable<Item>, use: (item: Item) => void): Promise<void> {
  const turns = new Turns();
  for (const item of items) {
    if (turns.isOver()) await turns.next();
    use(item);
  }
}

type Compare<Item> = (a: Item, b: Item) => number;

/** Sorts a list in place, stably, and returns it. */
export async function sortInTurns<Item>(items: Item[], compare: Compare<Item>): Promise<Item[]> {
  await mergeSort(items, (length) => new Array<Item>(length), compare);
  return items;
}

/** Does the same for millions of numbers. */
export async function sortNumbersInTurns(numbers: Float64Array): Promise<Float64Array> {
  await mergeSort<number>(
    numbers,
    (length) => new Float64Array(length),
    (a, b) => a - b,
  );
  return numbers;
}

interface Row<Item> {
  readonly length: number;
  [index: number]: Item;
}

/**
 * Merges runs of doubled length each time. What is in order already, as the tables of real disks are, is
 * passed over once.
 */
async function mergeSort<Item>(
  items: Row<Item>,
  spare: (length: number) => Row<Item>,
  compare: Compare<Item>,
): Promise<void> {
  const turns = new Turns();
  if (await isSorted(items, compare, turns)) return;
  let [from, to] = [items, spare(items.length)];
  for (let width = 1; width < items.length; width *= 2) {
    for (let start = 0; start < items.length; start += 2 * width) {
      const middle = Math.min(start + width, items.length);
      const end = Math.min(start + 2 * width, items.length);
      let [left, right] = [start, middle];
      for (let at = start; at < end; at += 1) {
        if (turns.isOver()) await turns.next();
        const isLeft = left < middle && (right >= end || compare(from[left]!, from[right]!) <= 0);
        to[at] = isLeft ? from[left++]! : from[right++]!;
      }
    }
    [from, to] = [to, from];
  }
  for (let at = 0; from !== items && at < items.length; at += 1) items[at] = from[at]!;
}

async function isSorted<Item>(items: Row<Item>, compare: Compare<Item>, turns: Turns): Promise<boolean> {
  for (let at = 1; at < items.length; at += 1) {
    if (turns.isOver()) await turns.next();
    if (compare(items[at - 1]!, items[at]!) > 0) return false;
  }
  return true;
}
