import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findRunningPostgres, prepareDatabase } from '../../../src/db/index.ts';
import { asSuperuser, assertKept, keep, query, startEmbedded } from '../../support/embedded.ts';
import { silentLog as log } from '../../support/log.ts';
import { temporaryFolder } from '../../support/system.ts';

/** Statements of a superuser, which an SQL injection could run if the shop's role were one. */
const FORBIDDEN = [
  "copy (select 1) to program 'true'",
  "copy kept from program 'echo 1'",
  "copy (select 1) to '/tmp/of-the-shop'",
  "select pg_read_file('PG_VERSION')",
  "select pg_ls_dir('.')",
  "select lo_import('/etc/hostname')",
  'select rolpassword from pg_authid',
  'create role another',
  'create database another',
  'alter role shop superuser',
  'set role fake_shop',
  'alter system set log_connections = on',
  'set session authorization fake_shop',
  'create extension file_fdw',
  'create extension dblink',
];

test("the shop's role owns its database and has no other right", async (t) => {
  const folder = await temporaryFolder(t);
  const { connection } = await startEmbedded(t, folder);
  await keep(connection);
  for (const sql of FORBIDDEN) {
    await assert.rejects(query(connection, sql), { code: /^(42501|0A000|58P01)$/ }, sql);
  }
  const [role] = await query(
    connection,
    `select rolname, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls,
            (select count(*)::int from pg_auth_members where member = pg_roles.oid) as memberships
     from pg_roles where rolname = current_user`,
  );
  assert.deepEqual(role, {
    rolname: 'shop',
    rolsuper: false,
    rolcreaterole: false,
    rolcreatedb: false,
    rolreplication: false,
    rolbypassrls: false,
    memberships: 0,
  });
  assert.deepEqual(await findRunningPostgres(folder), connection);
});

test('the data of a shop that connected as the superuser is handed over to the role at the next start', async (t) => {
  const folder = await temporaryFolder(t);
  const first = await startEmbedded(t, folder);
  const superuser = await asSuperuser(first.connection, folder);
  // The state that version 1.0.0 left: everything belongs to the superuser, and there is no other role.
  await query(superuser, `alter database fake_shop owner to fake_shop`);
  await query(superuser, 'drop role shop');
  await prepareDatabase(superuser, { log });
  await keep(superuser);
  await query(
    superuser,
    `create schema "a person's";
     create type "a person's".mood as enum ('good');
     create domain positive as integer check (value > 0);
     create type pair as (x integer, y integer);
     create sequence tickets;
     create table parted (day date not null) partition by range (day);
     create table "Parted 1" partition of parted for values from ('2026-01-01') to ('2027-01-01');
     create view seen as select * from kept;
     create function twice(n integer) returns integer language sql as 'select n * 2';
     create procedure nothing(text) language sql as '';`,
  );
  await first.stop();

  const second = await startEmbedded(t, folder);
  const { connection } = second;
  await assertKept(connection);
  const left = await query(
    connection,
    `select relname as name from pg_class c join pg_namespace n on n.oid = relnamespace
     where nspname in ('public', 'a person''s') and pg_get_userbyid(relowner) <> 'shop'
     union all
     select proname from pg_proc join pg_namespace n on n.oid = pronamespace
     where nspname in ('public', 'a person''s') and pg_get_userbyid(proowner) <> 'shop'
     union all
     select typname from pg_type join pg_namespace n on n.oid = typnamespace
     where nspname in ('public', 'a person''s') and pg_get_userbyid(typowner) <> 'shop'
     union all
     select nspname from pg_namespace where nspname = 'a person''s' and pg_get_userbyid(nspowner) <> 'shop'
     union all
     select datname from pg_database where datname = current_database() and pg_get_userbyid(datdba) <> 'shop'`,
  );
  assert.deepEqual(left, []);
  await prepareDatabase(connection, { log });
  await query(connection, 'alter table products add column handed_over boolean');
  await second.stop();
  // The next start has nothing to hand over.
  await assertKept((await startEmbedded(t, folder)).connection);
});
