-- Queues: handing out, and what becomes of a message that somebody holds.
-- Not here: leases that run out (`tidy` in `queues.sql`), dead letters (`queue_keeping.sql`).

-- Hand out messages. With none, one line without id says whether the channel is closed for good
-- (attempts 1) and in how many seconds time alone may change something. _again: it may have been
-- done before, with an answer that was lost.
CREATE OR REPLACE FUNCTION {schema}.receive(
    _channel text, _receipt uuid, _again boolean, _limit bigint, _lease double precision,
    _tries integer
) RETURNS TABLE (
    id bigint, uid text, attempts bigint, data bytea, next_change double precision
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    -- A message whose handing-out is lost in a crash of the server is handed out again.
    PERFORM set_config('synchronous_commit', 'off', true);
    IF _again THEN
        PERFORM {schema}.take_back(_channel, _receipt);
    END IF;
    PERFORM {schema}.tidy(_channel);
    RETURN QUERY
    WITH taken AS (
        SELECT id FROM {schema}.messages
        WHERE channel = _channel AND state = 0
        ORDER BY id LIMIT _limit FOR UPDATE SKIP LOCKED
    ), held AS (
        UPDATE {schema}.messages m
        SET state = 3, attempts = m.attempts + 1, tries = _tries, receipt = _receipt,
            until = clock_timestamp() + _lease * interval '1 second'
        FROM taken WHERE m.id = taken.id
        RETURNING m.id, m.uid, m.attempts, m.data
    )
    SELECT id, uid::text, attempts::bigint, data, NULL::double precision FROM held ORDER BY id;
    IF NOT FOUND THEN
        RETURN QUERY SELECT NULL::bigint, NULL::text,
            (EXISTS (SELECT FROM {schema}.channels WHERE name = _channel AND closed)
             AND NOT EXISTS (SELECT FROM {schema}.messages WHERE channel = _channel)
            )::integer::bigint,
            NULL::bytea, {schema}.next_change(_channel);
    END IF;
END $$;

-- Undo a handing-out that reached nobody.
CREATE OR REPLACE FUNCTION {schema}.take_back(_channel text, _receipt uuid) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE {schema}.messages
    SET state = 0, attempts = attempts - 1, due = '-infinity', until = NULL, receipt = NULL
    WHERE channel = _channel AND state = 3 AND receipt = _receipt;
    IF FOUND THEN
        PERFORM {schema}.tidy(_channel);
        PERFORM {schema}.tell_channel(_channel);
    END IF;
END $$;

-- The same for one message of several, and whether it was still held.
CREATE OR REPLACE FUNCTION {schema}.release(_channel text, _id bigint, _receipt uuid)
RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    UPDATE {schema}.messages
    SET state = 0, attempts = attempts - 1, due = '-infinity', until = NULL, receipt = NULL
    WHERE id = _id AND channel = _channel AND state = 3 AND receipt = _receipt
      AND until > clock_timestamp();
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM {schema}.tell_channel(_channel);
    RETURN true;
END $$;

-- Whether each was still held by whom its receipt names, and is gone now.
CREATE OR REPLACE FUNCTION {schema}.ack(_channel text, _ids bigint[], _receipts uuid[])
RETURNS TABLE (done boolean) LANGUAGE plpgsql AS $$
DECLARE
    _done bigint[];
    _ords text[];
BEGIN
    IF EXISTS (SELECT FROM {schema}.messages
               WHERE id = ANY (_ids) AND channel = _channel AND ord <> '') THEN
        PERFORM {schema}.lock_channel(_channel);
    END IF;
    WITH held AS (
        SELECT m.id FROM {schema}.messages m
        JOIN unnest(_ids, _receipts) AS i (id, receipt) ON i.id = m.id AND i.receipt = m.receipt
        WHERE m.channel = _channel AND m.state = 3 AND m.until > clock_timestamp()
        ORDER BY m.id FOR UPDATE OF m
    ), gone AS (
        DELETE FROM {schema}.messages m USING held WHERE m.id = held.id RETURNING m.id, m.ord
    )
    SELECT array_agg(id), array_agg(ord) INTO _done, _ords FROM gone;
    IF _done IS NOT NULL THEN
        PERFORM {schema}.promote(_channel, _ords);
        PERFORM {schema}.went_out(_channel, EXISTS (SELECT FROM unnest(_ords) o WHERE o <> ''));
    END IF;
    RETURN QUERY SELECT coalesce(i.id = ANY (_done), false)
    FROM unnest(_ids) WITH ORDINALITY AS i (id, n) ORDER BY i.n;
END $$;

CREATE OR REPLACE FUNCTION {schema}.nack(
    _channel text, _id bigint, _receipt uuid, _delay double precision, _dead boolean, _reason text
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    _now timestamptz := clock_timestamp();
    _message {schema}.messages;
BEGIN
    IF EXISTS (SELECT FROM {schema}.messages WHERE id = _id AND ord <> '') THEN
        PERFORM {schema}.lock_channel(_channel);
    END IF;
    SELECT * INTO _message FROM {schema}.messages
    WHERE id = _id AND channel = _channel AND receipt = _receipt AND state = 3 AND until > _now
    FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF _dead OR _message.attempts >= _message.tries THEN
        PERFORM {schema}.bury(ARRAY[_id], _reason);
        PERFORM {schema}.promote(_channel, ARRAY[_message.ord]);
        PERFORM {schema}.went_out(_channel, _message.ord <> '');
    ELSE
        UPDATE {schema}.messages
        SET state = CASE WHEN _delay > 0 THEN 1 ELSE 0 END, until = NULL, receipt = NULL,
            due = CASE WHEN _delay > 0 THEN _now + _delay * interval '1 second'
                       ELSE '-infinity' END
        WHERE id = _id;
        PERFORM {schema}.tell_channel(_channel);
    END IF;
    RETURN true;
END $$;

CREATE OR REPLACE FUNCTION {schema}.extend(
    _channel text, _id bigint, _receipt uuid, _seconds double precision
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    UPDATE {schema}.messages SET until = clock_timestamp() + _seconds * interval '1 second'
    WHERE id = _id AND channel = _channel AND receipt = _receipt AND state = 3
      AND until > clock_timestamp();
    RETURN FOUND;
END $$;
