import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type BatchLimits, batchStatements } from '../../src/db/batch.ts';
import { isDatabaseFailure } from '../../src/db/index.ts';
import { type Deferred, deferred } from '../../src/promises.ts';
import { until } from '../support/wait.ts';

const LONG_MS = 60_000;

interface Statement extends Deferred<ReadonlyMap<string, string>> {
  items: readonly string[];
}

/** A batch of words, whose key is their first letter. A statement ends when the test says so. */
function batchWords(limits: BatchLimits) {
  const sent: Statement[] = [];
  const store = batchStatements(
    (items: readonly string[]) => {
      const statement = { ...deferred<ReadonlyMap<string, string>>(), items };
      sent.push(statement);
      return statement.promise;
    },
    (word) => word.charAt(0),
    limits,
  );
  const items = () => sent.map((statement) => statement.items);
  /** Ends a statement: each word's result is the word in capitals. */
  const end = (statement: number) =>
    sent[statement]?.resolve(
      new Map(sent[statement].items.map((word) => [word.charAt(0), word.toUpperCase()] as const)),
    );
  return { store: (word: string, waitMs = LONG_MS) => store(word, waitMs), sent, items, end };
}

test('items that arrive while a statement is under way share the next one, and each gets its own result', async () => {
  const { store, items, end } = batchWords({ statements: 1, size: 3 });
  const first = store('ant');
  await until('the first is sent at once', () => items().length === 1);
  const others = ['bee', 'cat', 'dog', 'eel'].map((word) => store(word));
  end(0);
  assert.equal(await first, 'ANT');
  await until('the next is sent', () => items().length === 2);
  end(1);
  await until('the last is sent', () => items().length === 3);
  end(2);
  assert.deepEqual(await Promise.all(others), ['BEE', 'CAT', 'DOG', 'EEL']);
  assert.deepEqual(items(), [['ant'], ['bee', 'cat', 'dog'], ['eel']]);
});

test('a key is once in a statement, and its second item holds up no other item', async () => {
  const { store, items, end } = batchWords({ statements: 1, size: 9 });
  const words = ['ant', 'bee', 'boa', 'cat'].map((word) => store(word));
  for (const i of [0, 1]) {
    await until('a statement is sent', () => items().length === i + 1);
    end(i);
  }
  assert.deepEqual(await Promise.all(words), ['ANT', 'BEE', 'BOA', 'CAT']);
  assert.deepEqual(items(), [['ant', 'bee', 'cat'], ['boa']]);
});

test('a statement without a result for an item, and one that fails, say so to each of their items', async () => {
  const { store, sent, items } = batchWords({ statements: 1 });
  const first = store('ant');
  await until('the first is sent', () => items().length === 1);
  const others = Promise.allSettled([store('bee'), store('cat')]);
  sent[0]?.resolve(new Map());
  assert.equal(await first, undefined);
  await until('the next is sent', () => items().length === 2);
  const error = new Error('refused');
  sent[1]?.reject(error);
  assert.deepEqual(await others, Array(2).fill({ status: 'rejected', reason: error }));
});

test('an item whose turn does not come in its own time is not stored, and the others of its batch are', async () => {
  const { store, items, end } = batchWords({ statements: 1 });
  const first = store('ant');
  await until('the first is sent', () => items().length === 1);
  const [impatient, patient] = [store('bee', 5), store('cat')];
  await assert.rejects(impatient, (error: Error) => {
    assert.ok(isDatabaseFailure(error));
    return /1 statements were under way, and a turn did not come in 5 ms/.test(error.message);
  });
  const alone = store('dog', 5);
  await assert.rejects(alone);
  end(0);
  assert.equal(await first, 'ANT');
  await until('the next is sent', () => items().length === 2);
  end(1);
  assert.equal(await patient, 'CAT');
  assert.deepEqual(items(), [['ant'], ['cat']]);
});
