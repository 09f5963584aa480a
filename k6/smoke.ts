/**
 * One shopper goes everywhere once, makes each mistake and pays in each way. Or as many as the command line says:
 *
 *     k6 run k6/smoke.ts
 *     k6 run -e BASE_URL=http://127.0.0.1:5000 --vus 10 --iterations 100 k6/smoke.ts
 */
import type { Options } from 'k6/options';
import { smokeOptions } from './lib/profiles.ts';
import { createScript } from './lib/script.ts';
import { readSettings } from './lib/settings.ts';

const settings = readSettings(__ENV, { duration: '10s', rate: 1, think: 0 });
const { setup, run, teardown, handleSummary } = createScript({
  name: 'smoke',
  settings,
  isOverload: false,
  play: (shopper) => shopper.tour(),
});

export const options: Options = smokeOptions(settings);
export { handleSummary, run as default, setup, teardown };
