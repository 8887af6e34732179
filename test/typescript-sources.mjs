import { existsSync } from 'node:fs';
import { enableCompileCache, registerHooks } from 'node:module';
import { fileURLToPath } from 'node:url';

// A test file may start dozens of threads, each with hundreds of modules: their types are stripped, and they are
// compiled, once. Without a directory that can be written it takes longer.
enableCompileCache(fileURLToPath(new URL('../node_modules/.cache/node-compile-cache', import.meta.url)));

// The sources import each other by the names that tsc gives them.
registerHooks({
  resolve(specifier, context, next) {
    const isOurs =
      specifier.endsWith('.js') && /^(\.|file:)/.test(specifier) && !specifier.includes('node_modules');
    if (!isOurs) return next(specifier, context);
    const { href, protocol } = new URL(specifier.replace(/\.js$/, '.ts'), context.parentURL);
    if (protocol !== 'file:' || !existsSync(fileURLToPath(href))) return next(specifier, context);
    return { url: href, format: 'module-typescript', shortCircuit: true };
  },
});
