import assert from 'node:assert/strict';
import { test } from 'node:test';
import pg from 'pg';
import { describeError } from '../../src/describe-error.ts';

/** An error with a chain of a hundred thousand causes. */
function chain(wrap: (inner: Error) => Error): Error {
  let error = new Error('the first');
  for (let i = 0; i < 100_000; i++) error = wrap(error);
  return error;
}

function cycle(): Error {
  const error = new AggregateError([new Error('one of many')], 'all failed');
  error.errors.push(error, new Error('made of it', { cause: error }));
  error.cause = error;
  return error;
}

test('an error is described with its causes, each once, even in a circle', () => {
  const refused = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
  const { type, message, code, stack } = describeError(
    new TypeError('no page', { cause: new AggregateError([refused, new Error('no route')], 'no address answers') }),
  );
  assert.equal(type, 'TypeError');
  assert.equal(message, 'no page: no address answers: connect ECONNREFUSED: no route');
  assert.equal(code, 'ECONNREFUSED');
  assert.match(stack, /^TypeError: no page\n.*\ncaused by: AggregateError: .*caused by: Error: connect/s);

  assert.equal(describeError(cycle()).message, 'all failed: one of many: made of it');
  const deep = [
    chain((cause) => new Error('outer', { cause })),
    chain((inner) => new AggregateError([inner], 'outer')),
    new AggregateError(Array.from({ length: 100_000 }, (_, i) => new Error(String(i)))),
  ];
  for (const error of deep) assert.ok(describeError(error).stack.length < 200_000);
});

test('an error that cannot be read is described as unreadable', () => {
  const trap = Object.defineProperty(new Error('x'), 'message', {
    get() {
      throw new Error('no');
    },
  });
  const revoked = Proxy.revocable(new Error('x'), {});
  revoked.revoke();
  const odd = Object.assign(new AggregateError([], 'odd'), { errors: null });
  for (const error of [trap, revoked.proxy, odd]) assert.equal(typeof describeError(error).message, 'string');
});

test('any thrown value can be described', () => {
  for (const thrown of [undefined, null, 'text', 7n, Symbol('it'), {}, Object.create(null), [], () => {}]) {
    assert.equal(typeof describeError(thrown).message, 'string');
  }
});

test("PostgreSQL's detail of a whole row is left out", () => {
  const error = new pg.DatabaseError('violates check constraint', 10, 'error');
  error.detail = 'Failing row contains (Ana, Rua das Flores).';
  error.code = '23514';
  const told = JSON.stringify(describeError(error));
  assert.doesNotMatch(told, /Ana|Flores/);
  assert.match(told, /23514/);
});
