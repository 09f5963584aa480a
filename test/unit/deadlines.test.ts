import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CHECKOUT_MS, PAGE_DATABASE, PAGE_MS, RATE_LIMIT_MS, SHORT_LOCK_WAIT_MS } from '../../src/deadlines.ts';

const CLIENT_WAITS_MS = 2_000;

test('all waits of a checkout together leave time for the answer', () => {
  const { line, reserve, payment, commit } = CHECKOUT_MS;
  assert.ok(line + reserve + payment + commit < PAGE_MS, JSON.stringify(CHECKOUT_MS));
  assert.ok(PAGE_MS < CLIENT_WAITS_MS);
});

test('an order can wait for a lock and still be stored in its share', () => {
  assert.ok(SHORT_LOCK_WAIT_MS < CHECKOUT_MS.commit);
});

test('each single wait of a page ends before the page does', () => {
  const { acquire, connect, answer } = PAGE_DATABASE;
  for (const wait of [acquire, connect, answer, RATE_LIMIT_MS]) assert.ok(wait < PAGE_MS);
});

test('the server ends a late statement before its connection is given up', () => {
  assert.ok(PAGE_DATABASE.statement < PAGE_DATABASE.answer);
});
