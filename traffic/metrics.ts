import { type Exposition, ExpositionError, parseExposition } from '@techcommerce/cluster-metrics/testing';
import { StartError } from '../src/start-error.ts';

/** The `/metrics` of a running shop. */
export interface MetricsSource {
  /** @throws {StartError} one sentence that says what to do */
  scrape(): Promise<Exposition>;
}

const DEADLINE_MS = 10_000;

/**
 * @param url of the primary
 * @param token value of METRICS_TOKEN, where the shop has one
 */
export function createMetricsSource(url: URL, token: string | undefined): MetricsSource {
  const address = new URL('/metrics', url);
  return {
    async scrape() {
      const response = await fetch(address, {
        headers: { ...(token && { Authorization: `Bearer ${token}` }) },
        signal: AbortSignal.timeout(DEADLINE_MS),
      }).catch((cause: unknown) => {
        const advice = 'start the shop in another terminal with npm start, or name its address with --metrics-url';
        throw new StartError(`No metrics at ${address}: ${advice}.`, { cause });
      });
      const text = await response.text();
      if (response.status === 401) {
        throw new StartError(`The metrics at ${address} need a token: set METRICS_TOKEN as for the shop.`);
      }
      const scrape = response.ok ? parse(text, response.headers.get('content-type')) : undefined;
      if (scrape?.has('shop_active_sessions')) return scrape;
      throw new StartError(`${address} has no metrics of the shop: --metrics-url must name their port.`);
    },
  };
}

function parse(text: string, contentType: string | null): Exposition | undefined {
  try {
    return parseExposition(text, contentType ?? undefined);
  } catch (error) {
    if (error instanceof ExpositionError) return undefined;
    throw error;
  }
}

/** Names the route of a request as the metrics do. */
export type RouteOf = (method: string, path: string) => string;

const REQUESTS = 'http_request_duration_seconds_count';

/**
 * Learns the routes from the metrics, which have a series for each one from the first scrape.
 */
export function readRoutes(scrape: Exposition): RouteOf {
  const patterns = new Map<string, RegExp>();
  for (const { name, labels } of scrape.samples) {
    const { method, route } = labels;
    if (name === REQUESTS && route?.startsWith('/')) patterns.set(`${method} ${route}`, patternOf(route));
  }
  return (method, path) => {
    const [address = ''] = path.split('?');
    for (const [request, pattern] of patterns) {
      if (request.startsWith(`${method} `) && pattern.test(address)) return request.slice(method.length + 1);
    }
    return 'unmatched';
  };
}

/** `/detail/:id` matches one segment, `/static/*path` all that follow. */
function patternOf(route: string): RegExp {
  const source = route
    .replace(/[.+?^${}()|[\]\\]/g, '\\$&')
    .replace(/:\w+/g, '[^/]+')
    .replace(/\*\w+/g, '.+');
  return new RegExp(`^${source}$`);
}
