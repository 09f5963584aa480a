/**
 * Ten times the shoppers within seconds, and back again. The shop must refuse in time what it cannot serve, and lose
 * nothing.
 *
 *     k6 run -e SHOP_RATE=50 -e SHOP_DURATION=5m k6/spike.ts
 */
import type { Options } from 'k6/options';
import { optionsFor, PROFILES } from './lib/profiles.ts';
import { createScript } from './lib/script.ts';
import { readSettings } from './lib/settings.ts';

const profile = PROFILES.spike;
const settings = readSettings(__ENV, profile.defaults);
const { setup, run, teardown, handleSummary } = createScript({
  name: 'spike',
  settings,
  isOverload: profile.isOverload,
  play: (shopper) => shopper.visit(),
});

export const options: Options = optionsFor(profile, settings);
export { handleSummary, run as default, setup, teardown };
