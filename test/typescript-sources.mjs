import { existsSync } from 'node:fs';
import { enableCompileCache, registerHooks } from 'node:module';
import { fileURLToPath } from 'node:url';

// A test file may start dozens of threads, each with hundreds of modules: their types are stripped, and they are
// compiled, once. Without a directory that can be written it takes longer.
enableCompileCache(fileURLToPath(new URL('../node_modules/.cache/node-compile-cache', import.meta.url)));

/** By URL: whether there is such a source. A module is asked for by dozens of others. */
const sources = new Map();

registerHooks({
  resolve(specifier, context, next) {
    if (!/^(\.|file:).*\.js$/.test(specifier)) return next(specifier, context);
    if (context.parentURL?.includes('/node_modules/')) {
      // A package's own modules: Node would look at each for links, which npm makes none of.
      if (!specifier.startsWith('.') || !context.conditions.includes('import'))
        return next(specifier, context);
      return { url: new URL(specifier, context.parentURL).href, shortCircuit: true };
    }
    // The sources import each other by the names that tsc gives them.
    const { href, protocol } = new URL(specifier.replace(/\.js$/, '.ts'), context.parentURL);
    let isSource = sources.get(href);
    if (isSource === undefined) {
      isSource = protocol === 'file:' && !href.includes('/node_modules/') && existsSync(fileURLToPath(href));
      sources.set(href, isSource);
    }
    return isSource
      ? { url: href, format: 'module-typescript', shortCircuit: true }
      : next(specifier, context);
  },
});
