import { createRequire } from 'node:module';

/** Loads prom-client once more, with other classes, as when an application and its library each bring a copy. */
export function loadSecondPromClient(): typeof import('prom-client') {
  const require = createRequire(import.meta.url);
  const isPromClient = (path: string) => /[/]node_modules[/](prom-client|@prometheus-io[/]client)[/]/.test(path);
  const first = Object.entries(require.cache).filter(([path]) => isPromClient(path));
  for (const [path] of first) delete require.cache[path];
  const second = require('prom-client');
  for (const [path, module] of first) require.cache[path] = module;
  return second;
}
