import assert from 'node:assert/strict';
import { test } from 'node:test';
import knex from 'knex';
import { labelQuery, queryLabels } from '../../src/db/query-labels.ts';

const builder = knex({ client: 'pg' });

test('a labelled raw query keeps the rest of its context', () => {
  const query = builder.raw('select 1').queryContext({ kept: true });
  assert.equal(labelQuery(query, 'select', 'products'), query);
  assert.deepEqual(queryLabels(query), { operation: 'select', table: 'products' });
  assert.equal(query.queryContext().kept, true);
});

test('a query that was not labelled has no labels', () => {
  assert.equal(queryLabels(builder.raw('select 1')), undefined);
  assert.equal(queryLabels(builder('products').select()), undefined);
  assert.equal(queryLabels(builder.schema.dropTable('products')), undefined);
  assert.equal(queryLabels({}), undefined);
});
