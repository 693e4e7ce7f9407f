-- Streams: watching, reading, trimming. Publishing is in publishing.sql.

-- Where topics stand; makes those that do not exist, so that a watcher knows their numbers.
CREATE OR REPLACE FUNCTION {schema}.watch(_topics text[])
RETURNS TABLE (name text, id bigint, epoch text, off bigint) LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO {schema}.topics (name, epoch)
    SELECT i.name, m.epoch
    FROM (SELECT DISTINCT t COLLATE "C" AS name FROM unnest(_topics) t) i, {schema}.meta m
    WHERE NOT EXISTS (SELECT FROM {schema}.topics t WHERE t.name = i.name)
    ORDER BY i.name
    ON CONFLICT DO NOTHING;
    RETURN QUERY SELECT t.name::text, t.id, t.epoch, t.off
    FROM {schema}.topics t WHERE t.name = ANY (_topics);
END $$;

-- Rows of events after given ones of topics given by their numbers, up to about 4 MiB of each topic,
-- whether history still keeps them or not: for those who follow.
CREATE OR REPLACE FUNCTION {schema}.follow(_topics bigint[], _offs bigint[])
RETURNS TABLE (topic bigint, off bigint, count integer, data bytea) LANGUAGE plpgsql STABLE
-- Planning anew for the number of topics would cost more than the rest.
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY SELECT i.topic, p.off, p.count, p.data
    FROM unnest(_topics, _offs) AS i (topic, off)
    CROSS JOIN LATERAL (
        SELECT w.off, w.count, w.data FROM (
            SELECT l.off, l.count, l.data,
                   sum(octet_length(l.data)) OVER (ORDER BY l.off ROWS UNBOUNDED PRECEDING)
                   - octet_length(l.data) AS bytes
            FROM (
                SELECT e.off, e.count, e.data FROM {schema}.events e
                WHERE e.topic = i.topic AND e.off > i.off ORDER BY e.off LIMIT 2000
            ) l
        ) w WHERE w.bytes < 4194304
    ) p;
END $$;

-- A line for where the topic stands (off null), and the rows that have what history gives after
-- _since. Their first and last events may lie before that, or before the first that history gives.
CREATE OR REPLACE FUNCTION {schema}.read(_topic text, _epoch text, _since bigint, _limit integer)
RETURNS TABLE (
    epoch text, stand bigint, first bigint, off bigint, count integer, data bytea
) LANGUAGE sql STABLE AS $$
    SELECT t.epoch, t.off, t.first, p.off, p.count, p.data
    FROM {schema}.topics t
    LEFT JOIN LATERAL (
        SELECT w.off, w.count, w.data FROM (
            SELECT l.off, l.count, l.data,
                   sum(octet_length(l.data)) OVER (ORDER BY l.off ROWS UNBOUNDED PRECEDING)
                   - octet_length(l.data) AS bytes
            FROM (
                SELECT e.off, e.count, e.data FROM {schema}.events e
                WHERE e.topic = t.id AND e.off > _since AND e.off >= t.first
                  AND e.at > now() - t.kept * interval '1 second'
                ORDER BY e.off LIMIT _limit
            ) l
        ) w WHERE w.bytes < 4194304
    ) p ON t.epoch = _epoch
    WHERE t.name = _topic
    UNION ALL
    SELECT m.epoch, 0, 1, NULL, NULL, NULL FROM {schema}.meta m
    WHERE NOT EXISTS (SELECT FROM {schema}.topics t WHERE t.name = _topic)
    ORDER BY 4
$$;

-- A topic that stands before what somebody has seen of it is from an older copy: it begins anew.
CREATE OR REPLACE FUNCTION {schema}.went_back(_topic text, _epoch text, _off bigint) RETURNS void
LANGUAGE sql AS $$
    DELETE FROM {schema}.topics WHERE name = _topic AND epoch = _epoch AND off < _off
$$;

-- Delete what history no longer gives and who follows has had a minute to read.
CREATE OR REPLACE FUNCTION {schema}.trim(_topics text[]) RETURNS void LANGUAGE sql AS $$
    DELETE FROM {schema}.events e USING {schema}.topics t
    WHERE t.name = ANY (_topics) AND e.topic = t.id AND e.off < t.first
      AND e.at < now() - interval '60 seconds'
$$;
