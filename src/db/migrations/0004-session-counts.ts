import type { Knex } from 'knex';

/**
 * Counts of sessions, kept while sessions change, so that a gauge never reads all sessions.
 *
 * `session_counts` has, for each second, the number of sessions that were last seen in it, and how many of them have an
 * open cart with an item. A change of a session inserts a row into `session_changes`, which waits for no lock. The
 * reader of the gauges adds the changes up and moves them into `session_counts` from time to time. The sum of both
 * tables is right at every moment. Triggers write the changes, for every program that changes a session: in the same
 * transaction, under the lock of the session's row, so the changes of one session come one after the other. Gauges look
 * back 30 minutes at most, so older seconds are left out.
 *
 * `kept_until` is for the cleanup of old sessions: it checks a session again only then.
 */
export async function up(knex: Knex): Promise<void> {
  await knex.schema.raw(`
    alter table sessions
      add column cart_filled boolean not null default false,
      add column kept_until timestamptz;
    create index sessions_not_kept on sessions (last_seen_at, id) where kept_until is null;
    create index sessions_kept on sessions (kept_until, id) where kept_until < 'infinity';

    create table session_counts (
      second bigint primary key,
      sessions bigint not null,
      with_cart bigint not null
    );
    create table session_changes (
      second bigint not null,
      sessions bigint not null,
      with_cart bigint not null
    ) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

    create function second_of(moment timestamptz) returns bigint language sql stable as $$
      select floor(extract(epoch from moment))::bigint
    $$;

    create function note_added_sessions() returns trigger language plpgsql as $$ begin
      insert into session_changes
      select second_of(last_seen_at), count(*), count(*) filter (where cart_filled) from changed
      where last_seen_at > now() - interval '31 minutes' group by 1;
      return null;
    end $$;
    create function note_removed_sessions() returns trigger language plpgsql as $$ begin
      insert into session_changes
      select second_of(last_seen_at), -count(*), -count(*) filter (where cart_filled) from changed
      where last_seen_at > now() - interval '31 minutes' group by 1;
      return null;
    end $$;
    create function note_changed_session() returns trigger language plpgsql as $$ begin
      insert into session_changes values
        (second_of(old.last_seen_at), -1, -old.cart_filled::int),
        (second_of(new.last_seen_at), 1, new.cart_filled::int);
      return null;
    end $$;
    create function forget_sessions() returns trigger language plpgsql as $$ begin
      delete from session_counts;
      delete from session_changes;
      return null;
    end $$;
    create trigger note_added_sessions after insert on sessions
      referencing new table as changed for each statement execute function note_added_sessions();
    create trigger note_removed_sessions after delete on sessions
      referencing old table as changed for each statement execute function note_removed_sessions();
    create trigger note_changed_session after update on sessions for each row
      when (old.last_seen_at <> new.last_seen_at or old.cart_filled <> new.cart_filled)
      execute function note_changed_session();
    create trigger forget_sessions after truncate on sessions for each statement execute function forget_sessions();

    create function note_filled_cart(session uuid) returns void language plpgsql as $$
    declare
      filled boolean := exists (
        select from carts join cart_items on cart_items.cart_id = carts.id
        where carts.session_id = session and carts.status = 'open');
    begin
      update sessions set cart_filled = filled where id = session and cart_filled <> filled;
    end $$;
    create function note_changed_cart() returns trigger language plpgsql as $$ begin
      perform note_filled_cart(old.session_id);
      return null;
    end $$;
    create function note_changed_items() returns trigger language plpgsql as $$
    declare
      changed cart_items := coalesce(new, old);
    begin
      perform note_filled_cart(session_id) from carts where id = changed.cart_id and status = 'open';
      return null;
    end $$;
    create trigger note_changed_cart after delete or update of status on carts
      for each row execute function note_changed_cart();
    create trigger note_changed_items after insert or delete on cart_items
      for each row execute function note_changed_items();

    update sessions set cart_filled = true
    where exists (
      select from carts join cart_items on cart_items.cart_id = carts.id
      where carts.session_id = sessions.id and carts.status = 'open');
    delete from session_changes;
    insert into session_counts
    select second_of(last_seen_at), count(*), count(*) filter (where cart_filled) from sessions
    where last_seen_at > now() - interval '31 minutes' group by 1;
  `);
}

export async function down(knex: Knex): Promise<void> {
  await knex.schema.raw(`
    drop function note_added_sessions, note_removed_sessions, note_changed_session, forget_sessions,
      note_changed_cart, note_changed_items cascade;
    drop function note_filled_cart, second_of;
    drop table session_changes, session_counts;
    alter table sessions drop column cart_filled, drop column kept_until;
  `);
}
