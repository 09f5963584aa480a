// A preload, for `node --import`: prom-client is loaded from the folder that SUCCESSOR names.
import { createRequire, registerHooks } from 'node:module';
import { pathToFileURL } from 'node:url';

const url = pathToFileURL(createRequire(import.meta.url).resolve(process.env.SUCCESSOR)).href;

registerHooks({
  resolve(specifier, context, nextResolve) {
    return specifier === 'prom-client'
      ? { url, format: 'commonjs', shortCircuit: true }
      : nextResolve(specifier, context);
  },
});
