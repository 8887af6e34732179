import { existsSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { fileURLToPath } from 'node:url';

// The sources import each other by the names that tsc gives them. Vitest resolves these in its own modules;
// in a thread that the code under test starts, Node does.
registerHooks({
  resolve(specifier, context, next) {
    const source = specifier.replace(/\.js$/, '.ts');
    const isOurs =
      specifier.endsWith('.js') && /^(\.|file:)/.test(specifier) && !specifier.includes('node_modules');
    if (!isOurs) return next(specifier, context);
    const url = new URL(source, context.parentURL);
    return next(url.protocol === 'file:' && existsSync(fileURLToPath(url)) ? url.href : specifier, context);
  },
});
