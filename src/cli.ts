#!/usr/bin/env node
import { fileURLToPath } from 'node:url';
import { isOldNode, runWithNewerNode } from './host/node-version.js';

if (isOldNode(process.versions.node)) {
  process.exitCode = await runWithNewerNode(fileURLToPath(import.meta.url));
} else {
  // Loaded only now, because these modules do not run on an old Node.
  const { createIo } = await import('./commands/io.js');
  const { main } = await import('./commands/main.js');
  /** A reader that closes the pipe (`hyper2kvm list | head`) is not a failure. */
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
  process.exitCode = await main(process.argv.slice(2), createIo(process.stdout, process.stderr, process.env));
}
