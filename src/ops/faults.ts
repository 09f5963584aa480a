import type { IncomingMessage } from 'node:http';
import type Router from '@koa/router';
import type { Context, Middleware } from 'koa';
import { FAULT_NAMES, isFaultName, MOST_SECONDS } from '../faults/names.ts';
import type { FaultRefusedError, Faults } from '../faults/primary.ts';
import { plain } from './answers.ts';
import { refuseStrangers } from './operator.ts';

/** Ten times a form of this address. */
const LIMIT_BYTES = 1024;

const FIELDS = ['name', 'on', 'seconds'];

export interface FaultRouteOptions {
  /** The token that is required; null: only requests from this machine are answered. */
  readonly token: string | null;
  requireToken: Middleware;
  readonly faults: Faults;
}

/** The addresses that show the rehearsed faults, and switch them. */
export function addFaultRoutes(router: Router, { token, requireToken, faults }: FaultRouteOptions): void {
  const guards = [requireToken, refuseStrangers(token)];

  function show(ctx: Context): void {
    ctx.set('Cache-Control', 'no-store');
    ctx.body = { faults: faults.list() };
  }

  router.get('/faults', ...guards, show);

  router.post('/faults', ...guards, async (ctx) => {
    if (!ctx.is('application/x-www-form-urlencoded')) {
      return plain(ctx, 415, 'Send a form: curl -d name=slow_code -d on=true …/faults');
    }
    const form = await readForm(ctx.req);
    if (!form) return plain(ctx, 413, `The form may have ${LIMIT_BYTES} bytes at most.`);
    const names = [...form.keys()];
    if (names.length > new Set(names).size || names.some((each) => !FIELDS.includes(each))) {
      return plain(ctx, 400, `The form may have the fields ${FIELDS.join(', ')}, each once.`);
    }
    const { name, on, seconds = String(MOST_SECONDS) } = Object.fromEntries(form);
    if (!isFaultName(name)) return plain(ctx, 400, `name must be one of ${FAULT_NAMES.join(', ')}.`);
    if (on !== 'true' && on !== 'false') return plain(ctx, 400, 'on must be true or false.');
    if (!/^[1-9]\d{0,2}$/.test(seconds) || Number(seconds) > MOST_SECONDS) {
      return plain(ctx, 400, `seconds must be a whole number from 1 to ${MOST_SECONDS}.`);
    }
    try {
      if (on === 'true') await faults.begin(name, Number(seconds));
      else await faults.end(name);
    } catch (error) {
      if (isRefusal(error)) return plain(ctx, 409, error.message);
      throw error;
    }
    show(ctx);
  });
}

/** By its name: the class is loaded only where faults are allowed. */
function isRefusal(error: unknown): error is FaultRefusedError {
  return error instanceof Error && error.name === 'FaultRefusedError';
}

/** @returns null for a form that is too large */
async function readForm(request: IncomingMessage): Promise<URLSearchParams | null> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  // The request stays open, so that its client gets an answer.
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    bytes += chunk.length;
    if (bytes > LIMIT_BYTES) return null;
    chunks.push(chunk);
  }
  return new URLSearchParams(Buffer.concat(chunks).toString());
}
