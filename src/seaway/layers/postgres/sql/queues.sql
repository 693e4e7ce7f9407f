-- Queues: channels whose messages each reach one receiver. What all that is done to one needs: its
-- lock, its news, its orders, and what time alone does to it.
-- Not here: sending, receiving, and what operators do (`queue_*.sql`).
--
-- Locks: who sends to a channel, or takes a message with an order out of it, locks the channel's
-- row first. Who receives, acknowledges or gives back a message without an order locks that only.
-- A function works on one channel, so nobody waits in a circle.

CREATE OR REPLACE FUNCTION {schema}.lock_channel(_channel text) RETURNS {schema}.channels
LANGUAGE plpgsql AS $$
DECLARE
    _found {schema}.channels;
BEGIN
    LOOP
        SELECT * INTO _found FROM {schema}.channels WHERE name = _channel FOR NO KEY UPDATE;
        IF FOUND THEN
            RETURN _found;
        END IF;
        INSERT INTO {schema}.channels (name) VALUES (_channel) ON CONFLICT DO NOTHING;
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION {schema}.tell_channel(_channel text) RETURNS void LANGUAGE sql AS $$
    SELECT pg_notify({schema}.ear('q', _channel), 'q ' || _channel)
$$;

-- After something went out of a channel: wake senders who wait for room, and, at the end of a
-- closed one, its receivers. ``_next``: the next one of an order may have become ready, too.
CREATE OR REPLACE FUNCTION {schema}.went_out(_channel text, _next boolean) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF _next OR EXISTS (
        SELECT FROM {schema}.channels WHERE name = _channel AND (wanted OR closed)
    ) THEN
        PERFORM {schema}.tell_channel(_channel);
    END IF;
END $$;

-- The first one of an order may be handed out. The caller has locked the channel.
CREATE OR REPLACE FUNCTION {schema}.promote(_channel text, _ords text[]) RETURNS void
LANGUAGE sql AS $$
    UPDATE {schema}.messages m
    SET state = CASE WHEN m.due > clock_timestamp() THEN 1 ELSE 0 END
    FROM (
        SELECT (SELECT n.id FROM {schema}.messages n
                WHERE n.channel = _channel AND n.ord = o.ord AND n.ord <> ''
                ORDER BY n.id LIMIT 1) AS id
        FROM (SELECT DISTINCT unnest(_ords) AS ord) o WHERE o.ord <> ''
    ) first
    WHERE m.id = first.id AND m.state = 2
$$;

CREATE OR REPLACE FUNCTION {schema}.bury(_ids bigint[], _reason text) RETURNS void
LANGUAGE sql AS $$
    WITH gone AS (
        DELETE FROM {schema}.messages WHERE id = ANY (_ids)
        RETURNING id, uid, channel, ord, attempts, data
    )
    INSERT INTO {schema}.dead_letters (uid, channel, ord, attempts, reason, data)
    SELECT uid, channel, ord, attempts, _reason, data FROM gone ORDER BY id
$$;

-- Do what is overdue in a channel: leases run out, messages expire, delays end.
CREATE OR REPLACE FUNCTION {schema}.tidy(_channel text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    _now timestamptz := clock_timestamp();
    _dead bigint[];
    _ords text[];
BEGIN
    IF EXISTS (SELECT FROM {schema}.messages
               WHERE channel = _channel AND state = 3 AND until <= _now)
       OR EXISTS (SELECT FROM {schema}.messages
                  WHERE channel = _channel AND attempts = 0 AND expires <= _now AND state <> 3) THEN
        PERFORM {schema}.lock_channel(_channel);
        WITH over AS (
            SELECT id FROM {schema}.messages
            WHERE channel = _channel AND state = 3 AND until <= _now
            ORDER BY id FOR UPDATE SKIP LOCKED
        )
        UPDATE {schema}.messages m
        SET state = 0, due = '-infinity', until = NULL, receipt = NULL
        FROM over WHERE m.id = over.id AND m.attempts < m.tries;
        SELECT array_agg(id), array_agg(ord) INTO _dead, _ords FROM (
            SELECT id, ord FROM {schema}.messages
            WHERE channel = _channel AND state = 3 AND until <= _now AND attempts >= tries
            ORDER BY id FOR UPDATE SKIP LOCKED) d;
        IF _dead IS NOT NULL THEN
            PERFORM {schema}.bury(_dead, 'its lease ran out');
            PERFORM {schema}.promote(_channel, _ords);
        END IF;
        WITH over AS (
            SELECT id FROM {schema}.messages
            WHERE channel = _channel AND attempts = 0 AND expires <= _now AND state <> 3
            ORDER BY id FOR UPDATE SKIP LOCKED
        ), gone AS (
            DELETE FROM {schema}.messages m USING over WHERE m.id = over.id RETURNING m.ord
        )
        SELECT array_agg(ord) INTO _ords FROM gone;
        PERFORM {schema}.promote(_channel, _ords);
        PERFORM {schema}.went_out(_channel, true);
    END IF;
    IF EXISTS (SELECT FROM {schema}.messages
               WHERE channel = _channel AND state = 1 AND due <= _now) THEN
        WITH ready AS (
            SELECT id FROM {schema}.messages
            WHERE channel = _channel AND state = 1 AND due <= _now
            ORDER BY id FOR UPDATE SKIP LOCKED
        )
        UPDATE {schema}.messages m SET state = 0 FROM ready WHERE m.id = ready.id;
    END IF;
END $$;

-- Seconds until time alone changes something in a channel; null: never.
CREATE OR REPLACE FUNCTION {schema}.next_change(_channel text) RETURNS double precision
LANGUAGE sql AS $$
    SELECT extract(epoch FROM least(
        (SELECT min(due) FROM {schema}.messages WHERE channel = _channel AND state = 1),
        (SELECT min(until) FROM {schema}.messages WHERE channel = _channel AND state = 3),
        (SELECT min(expires) FROM {schema}.messages
         WHERE channel = _channel AND attempts = 0 AND expires IS NOT NULL)
    ) - clock_timestamp())::double precision
$$;
