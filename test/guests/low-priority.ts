import { setPriority } from 'node:os';

/** Guests have minutes, tests of the daemon beside them have seconds: these get the processor first. What this process starts inherits it. */
setPriority(10);
