-- Queues: sending. What time does to a channel, and who is told of it: `queues.sql`.

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
