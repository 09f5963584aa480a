/**
 * Every shopper buys: by card or by Pix, with the mistakes that people make. The shop must keep its service levels.
 *
 *     k6 run -e SHOP_RATE=3 -e SHOP_DURATION=5m k6/checkout.ts
 */
import type { Options } from 'k6/options';
import { optionsFor, PROFILES } from './lib/profiles.ts';
import { createScript } from './lib/script.ts';
import { readSettings } from './lib/settings.ts';

const profile = PROFILES.checkout;
const settings = readSettings(__ENV, profile.defaults);
const { setup, run, teardown, handleSummary } = createScript({
  name: 'checkout',
  settings,
  isOverload: profile.isOverload,
  play: (shopper) => shopper.buy(),
});

export const options: Options = optionsFor(profile, settings);
export { handleSummary, run as default, setup, teardown };
