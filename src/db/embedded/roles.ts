import { createHmac } from 'node:crypto';
import pg from 'pg';

/** For the management of the server alone: a superuser reads every file that PostgreSQL can read, and runs programs. */
export const SUPERUSER = 'fake_shop';
/** The shop connects as this role: it owns its database and has no other right. */
export const SHOP_ROLE = 'shop';
export const DATABASE = 'fake_shop';

/** The shop's password, derived one way from the superuser's, so that there is one file to keep. */
export function shopPassword(superuserPassword: string): string {
  return createHmac('sha256', superuserPassword).update(`role ${SHOP_ROLE}`).digest('base64url');
}

/**
 * Makes the shop's role and its database, or brings those of an earlier start to the same state: version 1.0.0 of the
 * shop was the superuser, and its tables belong to the superuser still.
 *
 * @param administer the superuser's connection to the database `postgres`
 * @param enterShop opens the superuser's connection to the shop's database, which is there then
 * @param superuserPassword see {@link shopPassword}
 */
export async function provideRole(
  administer: pg.Client,
  enterShop: () => Promise<pg.Client>,
  superuserPassword: string,
): Promise<void> {
  const { rows } = await administer.query<{ has_role: boolean; owner: string | null }>(
    `select exists (select from pg_roles where rolname = $1) as has_role,
            (select pg_get_userbyid(datdba) from pg_database where datname = $2) as owner`,
    [SHOP_ROLE, DATABASE],
  );
  const { has_role = false, owner = null } = rows[0] ?? {};
  const password = pg.escapeLiteral(shopPassword(superuserPassword));
  await administer.query(
    `${has_role ? 'alter' : 'create'} role ${SHOP_ROLE}
     login nosuperuser nocreatedb nocreaterole noreplication nobypassrls password ${password}`,
  );
  if (owner === null) await administer.query(`create database ${DATABASE} owner ${SHOP_ROLE}`);
  if (owner === null || owner === SHOP_ROLE) return;

  const shop = await enterShop();
  try {
    await shop.query(HAND_OVER);
  } finally {
    await shop.end();
  }
}

/**
 * `reassign owned` refuses to take from the superuser that initdb made. An extension's members stay with the extension,
 * and a column's sequence follows its table.
 */
const HAND_OVER = `
do $$
declare
  statement text;
begin
  for statement in
    with ours as (
      select oid from pg_namespace where nspname !~ '^pg_' and nspname not in ('information_schema', 'public')
      union all select 'public'::regnamespace
    ), followers as (
      select classid, objid from pg_depend
      where deptype = 'e' or (deptype in ('a', 'i') and objid in (select oid from pg_class where relkind = 'S'))
    ), owned (class, id, name) as (
      select 'pg_class'::regclass, oid,
        case relkind when 'v' then 'view' when 'm' then 'materialized view' when 'S' then 'sequence'
          when 'f' then 'foreign table' when 'c' then 'type' else 'table' end || ' ' || oid::regclass
      from pg_class where relnamespace in (select oid from ours) and relkind in ('r', 'p', 'v', 'm', 'S', 'f', 'c')
      union all
      select 'pg_proc'::regclass, oid, 'routine ' || oid::regprocedure
      from pg_proc where pronamespace in (select oid from ours)
      union all
      select 'pg_type'::regclass, oid, 'type ' || oid::regtype
      from pg_type where typnamespace in (select oid from ours) and typtype in ('e', 'd', 'r')
      union all
      select 'pg_namespace'::regclass, oid, 'schema ' || oid::regnamespace
      from pg_namespace where oid in (select oid from ours) and nspname <> 'public'
    )
    select format('alter %s owner to ${SHOP_ROLE}', name)
    from owned where (class, id) not in (select classid, objid from followers)
  loop
    execute statement;
  end loop;
  alter database ${DATABASE} owner to ${SHOP_ROLE};
end
$$`;
