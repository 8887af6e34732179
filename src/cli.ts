#!/usr/bin/env node
import { createIo } from './commands/io.js';
import { main } from './commands/main.js';

/** A reader that went away (`hyper2kvm list | head`) is no failure. */
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

process.exitCode = await main(process.argv.slice(2), createIo(process.stdout, process.stderr, process.env));
