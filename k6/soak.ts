/**
 * The same load for an hour or longer. The shop must keep its service levels to the end.
 *
 *     k6 run -e SHOP_RATE=2 -e SHOP_DURATION=8h k6/soak.ts
 */
import type { Options } from 'k6/options';
import { optionsFor, PROFILES } from './lib/profiles.ts';
import { createScript } from './lib/script.ts';
import { readSettings } from './lib/settings.ts';

const profile = PROFILES.soak;
const settings = readSettings(__ENV, profile.defaults);
const { setup, run, teardown, handleSummary } = createScript({
  name: 'soak',
  settings,
  isOverload: profile.isOverload,
  play: (shopper) => shopper.visit(),
});

export const options: Options = optionsFor(profile, settings);
export { handleSummary, run as default, setup, teardown };
