import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createPages } from '../../src/web/pages.ts';
import type { WebContext } from '../../src/web/state.ts';

test('a refusal shows its request wherever the template does', () => {
  const pages = createPages({
    assets: { url: (path) => path, serve: () => false },
    catalogue: { current: () => assert.fail(), known: () => null, first: Promise.resolve(), stop: async () => {} },
    cartCountOf: () => undefined,
    originOf: () => null,
    templates: { error: (view) => `${view?.requestId} ${view?.message}: ${view?.requestId}.` },
  });
  for (const [requestId, message] of [
    ['first', 'late'],
    ['second', 'late'],
    ['third', 'busy'],
  ] as const) {
    const ctx = { state: { requestId } } as WebContext;
    pages.showRefusal(ctx, { status: 503, heading: '', message, retryAfterSeconds: 1, isForm: false });
    assert.equal(String(ctx.body), `${requestId} ${message}: ${requestId}.`);
  }
});
