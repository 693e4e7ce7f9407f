-- Queues: channels whose messages each reach one receiver.
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

-- Send several messages as one request. outcome: 0 sent, or sent before (_onces); 1 the channel is
-- full; 2 it is closed. _until: seconds until time alone may make room.
CREATE OR REPLACE FUNCTION {schema}.send(
    _request uuid, _again boolean, _channel text, _uids uuid[], _datas bytea[],
    _capacities bigint[], _waits boolean[], _delays double precision[], _ttls double precision[],
    _ords text[], _onces text[]
) RETURNS TABLE (uid text, outcome bigint, next_change double precision) LANGUAGE plpgsql AS $$
DECLARE
    _state {schema}.channels;
    _n integer;
    _now timestamptz;
    _sent integer := 0;
    _uid uuid;
    _id bigint;
    _in_line boolean;
    _words text[] := '{}';
    _numbers bigint[] := '{}';
    _until double precision;
BEGIN
    IF _again THEN
        RETURN QUERY SELECT unnest(a.words), unnest(a.numbers), NULL::double precision
        FROM {schema}.answers a WHERE a.request = _request;
        IF FOUND THEN
            RETURN;
        END IF;
    END IF;
    _state := {schema}.lock_channel(_channel);
    FOR _n IN 1..cardinality(_uids) LOOP
        _now := clock_timestamp();
        _uid := NULL;
        IF _onces[_n] <> '' THEN
            SELECT o.uid INTO _uid FROM {schema}.sent_once o
            WHERE o.channel = _channel AND o.once = _onces[_n] AND o.at > _now - interval '1 hour';
        END IF;
        IF _uid IS NOT NULL THEN
            _words := _words || _uid::text;
            _numbers := _numbers || 0::bigint;
            CONTINUE;
        END IF;
        IF _state.closed THEN
            _words := _words || ''::text;
            _numbers := _numbers || 2::bigint;
            CONTINUE;
        END IF;
        IF _state.at_most >= _capacities[_n] THEN
            PERFORM {schema}.tidy(_channel);
            _state.at_most := (SELECT count(*) FROM {schema}.messages WHERE channel = _channel);
            IF _state.at_most >= _capacities[_n] THEN
                _state.wanted := _state.wanted OR _waits[_n];
                _words := _words || ''::text;
                _numbers := _numbers || 1::bigint;
                CONTINUE;
            END IF;
            _state.wanted := false;
        END IF;
        _in_line := _ords[_n] <> '' AND EXISTS (
            SELECT FROM {schema}.messages WHERE channel = _channel AND ord = _ords[_n]);
        INSERT INTO {schema}.messages (uid, channel, ord, state, due, expires, data) VALUES (
            _uids[_n], _channel, _ords[_n],
            CASE WHEN _in_line THEN 2 WHEN _delays[_n] > 0 THEN 1 ELSE 0 END,
            CASE WHEN _delays[_n] > 0 THEN _now + _delays[_n] * interval '1 second'
                 ELSE '-infinity' END,
            _now + _ttls[_n] * interval '1 second', _datas[_n]);
        IF _onces[_n] <> '' THEN
            INSERT INTO {schema}.sent_once (channel, once, uid)
            VALUES (_channel, _onces[_n], _uids[_n])
            ON CONFLICT (channel, once) DO UPDATE SET uid = excluded.uid, at = excluded.at;
        END IF;
        _state.at_most := _state.at_most + 1;
        _sent := _sent + 1;
        _words := _words || _uids[_n]::text;
        _numbers := _numbers || 0::bigint;
    END LOOP;
    UPDATE {schema}.channels SET at_most = _state.at_most, wanted = _state.wanted
    WHERE name = _channel;
    IF _sent > 0 THEN
        PERFORM {schema}.tell_channel(_channel);
    END IF;
    INSERT INTO {schema}.answers (request, words, numbers) VALUES (_request, _words, _numbers);
    IF 1 = ANY (_numbers) THEN
        _until := {schema}.next_change(_channel);
    END IF;
    RETURN QUERY SELECT unnest(_words), unnest(_numbers), _until;
END $$;

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

CREATE OR REPLACE FUNCTION {schema}.set_closed(_channel text, _closed boolean) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF _closed OR EXISTS (SELECT FROM {schema}.channels WHERE name = _channel) THEN
        PERFORM {schema}.lock_channel(_channel);
        UPDATE {schema}.channels SET closed = _closed WHERE name = _channel;
        PERFORM {schema}.tell_channel(_channel);
    END IF;
END $$;

-- For operators ------------------------------------------------------------------------------------

CREATE OR REPLACE FUNCTION {schema}.channel_names() RETURNS TABLE (name text)
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM {schema}.tidy(c.name) FROM (SELECT c.name FROM {schema}.channels c ORDER BY c.name) c;
    RETURN QUERY SELECT c.name::text FROM {schema}.channels c
    WHERE c.closed
       OR EXISTS (SELECT FROM {schema}.messages m WHERE m.channel = c.name)
       OR EXISTS (SELECT FROM {schema}.dead_letters d WHERE d.channel = c.name)
    ORDER BY c.name;
END $$;

CREATE OR REPLACE FUNCTION {schema}.queue_state(_channel text)
RETURNS TABLE (waiting bigint, delayed bigint, held bigint, dead bigint, closed boolean)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    PERFORM {schema}.tidy(_channel);
    RETURN QUERY SELECT
        count(*) FILTER (WHERE state IN (0, 2)), count(*) FILTER (WHERE state = 1),
        count(*) FILTER (WHERE state = 3),
        (SELECT count(*) FROM {schema}.dead_letters WHERE channel = _channel),
        EXISTS (SELECT FROM {schema}.channels c WHERE c.name = _channel AND c.closed)
    FROM {schema}.messages WHERE channel = _channel;
END $$;

CREATE OR REPLACE FUNCTION {schema}.purge(_channel text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    _count bigint;
BEGIN
    PERFORM {schema}.lock_channel(_channel);
    PERFORM {schema}.tidy(_channel);
    DELETE FROM {schema}.messages WHERE channel = _channel;
    GET DIAGNOSTICS _count = ROW_COUNT;
    PERFORM {schema}.tell_channel(_channel);
    RETURN _count;
END $$;

-- The oldest after _skip of them, of these _ids alone (null: all).
CREATE OR REPLACE FUNCTION {schema}.dead_letters_of(
    _channel text, _limit bigint, _skip bigint, _ids text[]
) RETURNS TABLE (uid text, data bytea, attempts bigint, reason text, died double precision)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    PERFORM {schema}.tidy(_channel);
    RETURN QUERY SELECT uid::text, data, attempts::bigint, reason,
                        extract(epoch FROM died)::double precision
    FROM {schema}.dead_letters
    WHERE channel = _channel AND (_ids IS NULL OR uid::text = ANY (_ids))
    ORDER BY n LIMIT _limit OFFSET _skip;
END $$;

-- _ids null: all. Each joins the end of its order.
CREATE OR REPLACE FUNCTION {schema}.replay(_channel text, _ids text[]) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    _letter {schema}.dead_letters;
    _count bigint := 0;
BEGIN
    PERFORM {schema}.lock_channel(_channel);
    PERFORM {schema}.tidy(_channel);
    FOR _letter IN
        SELECT * FROM {schema}.dead_letters
        WHERE channel = _channel AND (_ids IS NULL OR uid::text = ANY (_ids)) ORDER BY n
    LOOP
        INSERT INTO {schema}.messages (uid, channel, ord, state, data) VALUES (
            _letter.uid, _channel, _letter.ord,
            CASE WHEN _letter.ord <> '' AND EXISTS (
                SELECT FROM {schema}.messages m WHERE m.channel = _channel AND m.ord = _letter.ord
            ) THEN 2 ELSE 0 END,
            _letter.data);
        DELETE FROM {schema}.dead_letters WHERE n = _letter.n;
        _count := _count + 1;
    END LOOP;
    UPDATE {schema}.channels SET at_most = at_most + _count WHERE name = _channel;
    PERFORM {schema}.tell_channel(_channel);
    RETURN _count;
END $$;

CREATE OR REPLACE FUNCTION {schema}.discard(_channel text, _ids text[]) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    _count bigint;
BEGIN
    PERFORM {schema}.tidy(_channel);
    DELETE FROM {schema}.dead_letters
    WHERE channel = _channel AND (_ids IS NULL OR uid::text = ANY (_ids));
    GET DIAGNOSTICS _count = ROW_COUNT;
    RETURN _count;
END $$;
