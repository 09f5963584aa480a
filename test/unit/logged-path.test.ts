import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loggedPath } from '../../src/web/request-log.ts';

test('a path is logged in ASCII, also where the HTTP parser lets other bytes through', () => {
  assert.equal(loggedPath('/detail/1?q=\x9b'), '/detail/1');
  assert.equal(loggedPath('/\x9b31mred'), '/%9b31mred');
  assert.equal(loggedPath('/\xe2\x80\xaebackwards\x85'), '/%e2%80%aebackwards%85');
});
