import { initial } from './0001-initial.js';
import { crashes } from './0002-crashes.js';
import { outbox } from './0003-outbox.js';
import { stageTotals } from './0004-stage-totals.js';
import { owner } from './0005-owner.js';
import { warm } from './0006-warm.js';

/** In order: the n-th migrates a database from `user_version` n - 1 to n. Released ones are never changed. */
export const MIGRATIONS: readonly string[] = [initial, crashes, outbox, stageTotals, owner, warm];
