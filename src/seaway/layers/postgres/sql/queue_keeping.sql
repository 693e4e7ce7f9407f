-- Queues as operators see them: closing, numbers, purging, dead letters.
-- Not here: messages on their way (`queue_sending.sql`, `queue_receiving.sql`).

CREATE OR REPLACE FUNCTION {schema}.set_closed(_channel text, _closed boolean) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF _closed OR EXISTS (SELECT FROM {schema}.channels WHERE name = _channel) THEN
        PERFORM {schema}.lock_channel(_channel);
        UPDATE {schema}.channels SET closed = _closed WHERE name = _channel;
        PERFORM {schema}.tell_channel(_channel);
    END IF;
END $$;

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
