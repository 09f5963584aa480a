import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import helmet from 'helmet';
import type { WebMiddleware } from './state.ts';

/** Without `includeSubDomains`: other hosts of the domain may have no TLS. */
const HSTS = 'max-age=31536000';

/** Strict headers: everything comes from the shop, nothing is inline, no page frames the shop's. */
export function secureHeaders(): WebMiddleware {
  const protect = helmet({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'none'"],
        baseUri: ["'none'"],
        connectSrc: ["'self'"],
        fontSrc: ["'self'"],
        formAction: ["'self'"],
        frameAncestors: ["'none'"],
        imgSrc: ["'self'", 'data:'],
        manifestSrc: ["'self'"],
        scriptSrc: ["'self'"],
        styleSrc: ["'self'"],
      },
    },
    xFrameOptions: { action: 'deny' },
    // With helmet's `no-referrer`, browsers would post our own forms with the origin `null`.
    referrerPolicy: { policy: 'same-origin' },
    strictTransportSecurity: false,
  });
  // They are the same for all answers, so helmet sets them once, on a response that is never sent.
  const headers = new Map<string, string>();
  const model = new ServerResponse(new IncomingMessage(new Socket()));
  model.setHeader = (name, value) => {
    headers.set(name, String(value));
    return model;
  };
  protect(model.req, model, () => {});
  return function secureHeaders(ctx, next) {
    if (ctx.secure) ctx.set('Strict-Transport-Security', HSTS);
    for (const [name, value] of headers) ctx.res.setHeader(name, value);
    return next();
  };
}
