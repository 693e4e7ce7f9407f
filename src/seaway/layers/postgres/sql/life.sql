-- The life of the database itself: epochs, incarnations, and sweeping.

-- The NOTIFY channel on which news of a topic or a channel are told. 1,024 of each kind: a process
-- is woken for what it follows, and a backend's list of channels, which is linear, stays short.
CREATE OR REPLACE FUNCTION {schema}.ear(kind text, name text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT '{namespace}.' || kind || (('x' || left(md5(name), 4))::bit(16)::integer & 1023)
$$;

CREATE OR REPLACE FUNCTION {schema}.listen(_ears text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    _ear text;
BEGIN
    FOREACH _ear IN ARRAY _ears LOOP
        EXECUTE format('LISTEN %I', _ear);
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION {schema}.unlisten(_ear text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('UNLISTEN %I', _ear);
END $$;

CREATE OR REPLACE FUNCTION {schema}.new_epoch() RETURNS text LANGUAGE sql VOLATILE AS $$
    SELECT left(replace(gen_random_uuid()::text, '-', ''), 12)
$$;

-- What changes when this database is another one than it was: a restored dump has other table
-- numbers, a copy made elsewhere another system identifier, a promoted replica or a recovery to a
-- point in time another timeline.
CREATE OR REPLACE FUNCTION {schema}.incarnation() RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    _found text := '{schema}.topics'::regclass::oid::text;
BEGIN
    BEGIN
        _found := _found || '/' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8);
        _found := _found || '/' || (SELECT system_identifier FROM pg_control_system());
    EXCEPTION WHEN insufficient_privilege THEN
        NULL;  -- a host that hides these: table numbers and write positions still tell
    END;
    RETURN _found;
END $$;

-- How much of the write-ahead log is safe: after a crash it is no less.
CREATE OR REPLACE FUNCTION {schema}.written() RETURNS text LANGUAGE sql AS $$
    SELECT pg_current_wal_flush_lsn()::text
$$;

CREATE OR REPLACE FUNCTION {schema}.is_same(_known text) RETURNS boolean LANGUAGE sql AS $$
    SELECT (_known = '' OR _known::pg_lsn <= pg_current_wal_insert_lsn())
           AND incarnation = {schema}.incarnation()
    FROM {schema}.meta
$$;

-- Begin new epochs for all topics if history may have been lost. _known is a write position that
-- the caller has seen of this server: it never goes back, unless an older copy was put in place.
CREATE OR REPLACE FUNCTION {schema}.incarnate(_known text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    _now text := {schema}.incarnation();
BEGIN
    IF {schema}.is_same(_known) THEN
        RETURN false;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('{schema} life', 0));
    IF {schema}.is_same(_known) THEN
        RETURN false;  -- somebody else was first
    END IF;
    TRUNCATE {schema}.topics, {schema}.events, {schema}.answers, {schema}.published_once;
    TRUNCATE {schema}.processes, {schema}.members, {schema}.headcounts, {schema}.people;
    UPDATE {schema}.meta SET incarnation = _now, epoch = {schema}.new_epoch();
    RETURN true;
END $$;

-- Begin new epochs for the topics of which a crash may have taken events: see publishing.sql. Who
-- connects calls it; no connection outlives a crash.
CREATE OR REPLACE FUNCTION {schema}.revive() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM {schema}.unbroken) THEN
        RETURN false;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('{schema} life', 0));
    IF EXISTS (SELECT FROM {schema}.unbroken) THEN
        RETURN false;  -- somebody else was first
    END IF;
    DELETE FROM {schema}.topics WHERE unsafe IS NOT NULL;
    INSERT INTO {schema}.unbroken DEFAULT VALUES;
    RETURN true;
END $$;

-- A topic never has two lives under one epoch, whoever deletes it.
CREATE OR REPLACE FUNCTION {schema}.topics_gone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        DELETE FROM {schema}.events;
        UPDATE {schema}.meta SET epoch = {schema}.new_epoch();
    ELSE
        DELETE FROM {schema}.events e USING gone WHERE e.topic = gone.id;
        UPDATE {schema}.meta SET epoch = {schema}.new_epoch()
        WHERE EXISTS (SELECT FROM gone WHERE gone.epoch = meta.epoch AND gone.off > 0);
    END IF;
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER truncated AFTER TRUNCATE ON {schema}.topics
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.topics_gone();
CREATE OR REPLACE TRIGGER deleted AFTER DELETE ON {schema}.topics
    REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.topics_gone();

-- Tidy the next 200 topics, and, at the beginning of a round, what is remembered for a while. All
-- processes together do that about once a second.
CREATE OR REPLACE FUNCTION {schema}.walk() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    _after bigint;
    _topics bigint[];
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended('{schema} walk', 0)) THEN
        RETURN;
    END IF;
    SELECT walked INTO _after FROM {schema}.meta
    WHERE walked_at NOT BETWEEN clock_timestamp() - interval '1 second' AND clock_timestamp();
    IF NOT FOUND THEN
        RETURN;
    END IF;
    PERFORM set_config('synchronous_commit', 'off', true);
    _topics := ARRAY(
        SELECT t.id FROM {schema}.topics t WHERE t.id > _after ORDER BY t.id LIMIT 200);
    DELETE FROM {schema}.events e USING {schema}.topics t
    WHERE t.id = ANY (_topics) AND e.topic = t.id AND e.at < now() - interval '60 seconds'
      AND (e.off < t.first OR e.at <= now() - t.kept * interval '1 second');
    DELETE FROM {schema}.topics t
    WHERE t.id = ANY (_topics) AND t.used < now() - interval '1 day'
      AND NOT EXISTS (SELECT FROM {schema}.events e WHERE e.topic = t.id);
    IF _after = 0 THEN
        DELETE FROM {schema}.answers WHERE at < now() - interval '2 minutes';
        DELETE FROM {schema}.published_once WHERE at < now() - interval '10 minutes';
        DELETE FROM {schema}.sent_once WHERE at < now() - interval '1 hour';
        DELETE FROM {schema}.dead_letters d USING (
            SELECT channel, n, row_number() OVER (PARTITION BY channel ORDER BY n DESC) AS rank
            FROM {schema}.dead_letters) old
        WHERE d.n = old.n AND old.rank > 100000;
    END IF;
    UPDATE {schema}.meta SET walked = coalesce(_topics[200], 0), walked_at = clock_timestamp();
END $$;

-- Topics that this process follows stay known.
CREATE OR REPLACE FUNCTION {schema}.touch(_topics text[]) RETURNS void LANGUAGE sql AS $$
    UPDATE {schema}.topics SET used = clock_timestamp()
    WHERE name = ANY (_topics) AND used < now() - interval '6 hours'
$$;
