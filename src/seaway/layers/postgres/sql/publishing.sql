-- Streams: publishing. What they give is in streams.sql.
--
-- Order: who publishes locks the rows of its topics, always in the order of their names, and holds
-- the locks until its transaction has committed. So offsets are in the order of commits, and who
-- reads up to an offset misses nothing before it.
--
-- The disk: an event with history is on it before anybody is told of it. Events without history are
-- not waited for. A crash of the server may take the last of them, so their topic must begin a new
-- epoch then: topics.unsafe says that it has to, and the first event after which it does is waited
-- for. A crash takes the end of the write-ahead log and nothing in between; so whatever waits makes
-- all that was before it safe.
--
-- Plans: all is looked up by keys, whatever the sizes of tables and arrays. What is set with a
-- function says so; planning each time anew for the number of topics costs more than the rest.

CREATE OR REPLACE FUNCTION {schema}.lock_topics(_topics text[]) RETURNS void
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off
SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    _wanted integer := (SELECT count(DISTINCT t) FROM unnest(_topics) t);
BEGIN
    LOOP
        -- The new ones first: who waits here holds none of those that exist.
        INSERT INTO {schema}.topics (name, epoch)
        SELECT i.name, m.epoch
        FROM (SELECT DISTINCT t COLLATE "C" AS name FROM unnest(_topics) t) i, {schema}.meta m
        WHERE NOT EXISTS (SELECT FROM {schema}.topics t WHERE t.name = i.name)
        ORDER BY i.name
        ON CONFLICT DO NOTHING;
        PERFORM FROM {schema}.topics
        WHERE name = ANY (_topics) ORDER BY name FOR NO KEY UPDATE;
        EXIT WHEN (SELECT count(*) FROM {schema}.topics WHERE name = ANY (_topics)) = _wanted;
    END LOOP;
END $$;

-- What is told of one row of events. A small one rides along, so that who follows need not ask.
CREATE OR REPLACE FUNCTION {schema}.tell(
    _id bigint, _topic text, _epoch text, _off bigint, _count integer, _data bytea
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify(
        {schema}.ear('t', _topic),
        CASE WHEN octet_length(_data) <= 5000
             THEN 'd ' || _id || ' ' || _epoch || ' ' || _off || ' ' || _topic || ' '
                  || _count || ' ' || encode(_data, 'base64')
             ELSE 'e ' || _id || ' ' || _epoch || ' ' || _off || ' ' || _topic END);
END $$;

-- Append to topics that the caller has locked, trim, and wake who follows them. Each row has
-- _counts events; its offset is that of the last one. lasting: the commit has to wait for the disk.
CREATE OR REPLACE FUNCTION {schema}.append(
    _topics text[], _datas bytea[], _counts integer[], _sizes integer[],
    _seconds double precision[],
    OUT epochs text[], OUT offs bigint[], OUT lasting boolean
) LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off
SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    WITH incoming AS MATERIALIZED (
        SELECT i.n, t.id, t.epoch, i.data, i.count, i.size, i.seconds, t.off AS before,
               t.off + sum(i.count) OVER (PARTITION BY t.id ORDER BY i.n ROWS UNBOUNDED PRECEDING)
               AS off
        FROM unnest(_topics, _datas, _counts, _sizes, _seconds)
             WITH ORDINALITY AS i (topic, data, count, size, seconds, n)
        JOIN {schema}.topics t ON t.name = i.topic
    ), stored AS (
        INSERT INTO {schema}.events (topic, off, count, data)
        SELECT id, off, count, data FROM incoming
    ), newest AS (
        SELECT DISTINCT ON (id) id, before, off, seconds,
               max(off - size + 1) OVER (PARTITION BY id) AS first,
               max(size) OVER (PARTITION BY id) = 0 AS fleeting
        FROM incoming ORDER BY id, off DESC
    ), moved AS (
        UPDATE {schema}.topics t
        SET off = newest.off, first = greatest(t.first, newest.first), kept = newest.seconds,
            unsafe = CASE WHEN newest.fleeting THEN coalesce(t.unsafe, newest.before + 1) END,
            used = clock_timestamp()
        FROM newest WHERE t.id = newest.id
        RETURNING t.unsafe IS NULL OR t.unsafe > newest.before AS lasting
    )
    SELECT array_agg(epoch ORDER BY n), array_agg(off ORDER BY n),
           (SELECT bool_or(m.lasting) FROM moved m)
    INTO epochs, offs, lasting FROM incoming;
    -- Many are read faster than they are told of one by one, and fill no queue of notifications.
    IF (SELECT sum(octet_length(d)) FROM unnest(_datas) d) <= 16384 THEN
        PERFORM {schema}.tell(t.id, t.name, t.epoch, i.off, i.count, i.data)
        FROM unnest(_topics, _datas, _counts, offs)
             WITH ORDINALITY AS i (topic, data, count, off, n)
        JOIN {schema}.topics t ON t.name = i.topic
        ORDER BY i.n;
    ELSE
        PERFORM {schema}.tell(t.id, t.name, t.epoch, t.off, 0, NULL)
        FROM {schema}.topics t WHERE t.name = ANY (_topics);
    END IF;
END $$;

-- The position of the last event of one row: the short way for the most frequent case. _again: it
-- may have been done before. If it is being done still, or begins only now, one of the two attempts
-- is refused (events_request).
CREATE OR REPLACE FUNCTION {schema}.publish_one(
    _request uuid, _again boolean, _topic text, _data bytea, _count integer, _size integer,
    _seconds double precision, OUT epoch text, OUT off bigint
) LANGUAGE plpgsql AS $$
DECLARE
    _id bigint;
    _fleeting boolean;
BEGIN
    IF _again THEN
        SELECT t.epoch, e.off INTO epoch, off
        FROM {schema}.topics t JOIN {schema}.events e ON e.topic = t.id
        WHERE t.name = _topic AND e.request = _request;
        IF FOUND THEN
            RETURN;
        END IF;
    END IF;
    LOOP
        UPDATE {schema}.topics t
        SET off = t.off + _count, first = greatest(t.first, t.off + _count + 1 - _size),
            kept = _seconds, unsafe = CASE WHEN _size = 0 THEN coalesce(t.unsafe, t.off + 1) END,
            used = clock_timestamp()
        WHERE t.name = _topic
        RETURNING t.id, t.epoch, t.off, t.unsafe <= t.off - _count
        INTO _id, epoch, off, _fleeting;
        EXIT WHEN FOUND;
        INSERT INTO {schema}.topics (name, epoch) SELECT _topic, m.epoch FROM {schema}.meta m
        ON CONFLICT DO NOTHING;
    END LOOP;
    IF _fleeting THEN
        PERFORM set_config('synchronous_commit', 'off', true);
    END IF;
    INSERT INTO {schema}.events (topic, off, request, count, data)
    VALUES (_id, off, _request, _count, _data);
    PERFORM {schema}.tell(_id, _topic, epoch, off, _count, _data);
END $$;

-- The positions of the last events of rows that are published as one request. _again: it may have
-- been done before.
CREATE OR REPLACE FUNCTION {schema}.publish(
    _request uuid, _again boolean, _topics text[], _datas bytea[], _counts integer[],
    _sizes integer[], _seconds double precision[], _onces text[]
) RETURNS TABLE (epoch text, off bigint) LANGUAGE plpgsql AS $$
DECLARE
    _epochs text[];
    _offs bigint[];
    _lasting boolean := true;
BEGIN
    IF _again THEN
        RETURN QUERY SELECT unnest(a.words), unnest(a.numbers)
        FROM {schema}.answers a WHERE a.request = _request;
        IF FOUND THEN
            RETURN;
        END IF;
    END IF;
    PERFORM {schema}.lock_topics(_topics);
    IF '' = ALL (_onces) THEN
        SELECT a.epochs, a.offs, a.lasting INTO _epochs, _offs, _lasting
        FROM {schema}.append(_topics, _datas, _counts, _sizes, _seconds) a;
    ELSE
        SELECT a.epochs, a.offs INTO _epochs, _offs
        FROM {schema}.append_once(_topics, _datas, _counts, _sizes, _seconds, _onces) a;
    END IF;
    IF NOT _lasting THEN
        PERFORM set_config('synchronous_commit', 'off', true);
    END IF;
    INSERT INTO {schema}.answers (request, words, numbers) VALUES (_request, _epochs, _offs);
    RETURN QUERY SELECT unnest(_epochs), unnest(_offs);
END $$;

CREATE OR REPLACE FUNCTION {schema}.append_once(
    _topics text[], _datas bytea[], _counts integer[], _sizes integer[],
    _seconds double precision[], _onces text[],
    OUT epochs text[], OUT offs bigint[]
) LANGUAGE plpgsql AS $$
DECLARE
    _fresh bigint[];
    _epochs text[] := '{}';
    _offs bigint[] := '{}';
BEGIN
    -- The first of each that is not remembered.
    SELECT coalesce(array_agg(i.n ORDER BY i.n), '{}') INTO _fresh
    FROM (
        SELECT u.n, u.topic, u.once, row_number() OVER (PARTITION BY u.topic, u.once ORDER BY u.n) AS k
        FROM unnest(_topics, _onces) WITH ORDINALITY AS u (topic, once, n)
    ) i
    WHERE i.once = '' OR (i.k = 1 AND NOT EXISTS (
        SELECT FROM {schema}.published_once p WHERE p.topic = i.topic AND p.once = i.once));
    IF cardinality(_fresh) > 0 THEN
        SELECT a.epochs, a.offs INTO _epochs, _offs FROM {schema}.append(
            ARRAY(SELECT _topics[n] FROM unnest(_fresh) WITH ORDINALITY f (n, k) ORDER BY k),
            ARRAY(SELECT _datas[n] FROM unnest(_fresh) WITH ORDINALITY f (n, k) ORDER BY k),
            ARRAY(SELECT _counts[n] FROM unnest(_fresh) WITH ORDINALITY f (n, k) ORDER BY k),
            ARRAY(SELECT _sizes[n] FROM unnest(_fresh) WITH ORDINALITY f (n, k) ORDER BY k),
            ARRAY(SELECT _seconds[n] FROM unnest(_fresh) WITH ORDINALITY f (n, k) ORDER BY k)) a;
        INSERT INTO {schema}.published_once (topic, once, epoch, off)
        SELECT _topics[f.n], _onces[f.n], f.epoch, f.off
        FROM unnest(_fresh, _epochs, _offs) f (n, epoch, off) WHERE _onces[f.n] <> '';
    END IF;
    SELECT array_agg(coalesce(f.epoch, p.epoch) ORDER BY u.n),
           array_agg(coalesce(f.off, p.off) ORDER BY u.n)
    INTO epochs, offs
    FROM unnest(_topics, _onces) WITH ORDINALITY AS u (topic, once, n)
    LEFT JOIN unnest(_fresh, _epochs, _offs) f (n, epoch, off) ON f.n = u.n
    LEFT JOIN {schema}.published_once p ON f.n IS NULL AND p.topic = u.topic AND p.once = u.once;
END $$;

-- Publishing inside somebody's transaction: the event waits in pending, without a lock, until the
-- transaction commits. Then settle(), once for all of them, takes the locks in order.
CREATE OR REPLACE FUNCTION {schema}.publish_at_commit(
    _topic text, _data bytea, _size integer, _seconds double precision
) RETURNS void LANGUAGE sql AS $$
    INSERT INTO {schema}.pending (topic, data, size, seconds)
    VALUES (_topic, _data, _size, _seconds)
$$;

CREATE OR REPLACE FUNCTION {schema}.settle() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    _topics text[];
    _datas bytea[];
    _sizes integer[];
    _seconds double precision[];
    _lasting boolean;
BEGIN
    WITH mine AS (
        DELETE FROM {schema}.pending WHERE tx = pg_current_xact_id()
        RETURNING n, topic, data, size, seconds
    )
    SELECT array_agg(topic ORDER BY n), array_agg(data ORDER BY n), array_agg(size ORDER BY n),
           array_agg(seconds ORDER BY n)
    INTO _topics, _datas, _sizes, _seconds FROM mine;
    IF _topics IS NOT NULL THEN
        PERFORM {schema}.revive();
        PERFORM {schema}.lock_topics(_topics);
        SELECT a.lasting INTO _lasting
        FROM {schema}.append(
            _topics, _datas, array_fill(1, ARRAY[cardinality(_topics)]), _sizes, _seconds) a;
        -- Whose transaction it is decides whether it waits, but a position is never given twice.
        IF _lasting AND current_setting('synchronous_commit') = 'off' THEN
            PERFORM set_config('synchronous_commit', 'on', true);
        END IF;
    END IF;
    RETURN NULL;
END $$;
DROP TRIGGER IF EXISTS settle ON {schema}.pending;
CREATE CONSTRAINT TRIGGER settle AFTER INSERT ON {schema}.pending
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION {schema}.settle();
