/**
 * Shoppers arrive at a rate that rises, stays and falls. The shop must keep its service levels.
 *
 *     k6 run -e SHOP_RATE=5 -e SHOP_DURATION=5m k6/load.ts
 */
import type { Options } from 'k6/options';
import { optionsFor, PROFILES } from './lib/profiles.ts';
import { createScript } from './lib/script.ts';
import { readSettings } from './lib/settings.ts';

const profile = PROFILES.load;
const settings = readSettings(__ENV, profile.defaults);
const { setup, run, teardown, handleSummary } = createScript({
  name: 'load',
  settings,
  isOverload: profile.isOverload,
  play: (shopper) => shopper.visit(),
});

export const options: Options = optionsFor(profile, settings);
export { handleSummary, run as default, setup, teardown };
