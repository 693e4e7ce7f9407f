-- Presence: members under the lease of their process, counted as they come and go.
--
-- What is announced is who changed, not how: who follows reads these members again, and so the last
-- word on a member is right whatever the order in which it hears. Nothing here waits for the disk:
-- after a crash of the server, processes enter their members anew.

CREATE OR REPLACE FUNCTION {schema}.announce(_topics text[], _members text[]) RETURNS void
LANGUAGE sql AS $$
    -- A payload has at most 8,000 bytes.
    SELECT pg_notify({schema}.ear('t', topic), 'm ' || topic || ' ' || string_agg(member, ' '))
    FROM (
        SELECT topic, member, sum(length(member) + 1) OVER (PARTITION BY topic ORDER BY member) / 7000
        FROM unnest(_topics, _members) AS i (topic, member)
    ) AS chunks (topic, member, chunk)
    GROUP BY topic, chunk
$$;

-- Changes of headcounts: one line for each topic and person, of how many members came or went.
CREATE OR REPLACE FUNCTION {schema}.count_change(
    _topics text[], _persons text[], _changes bigint[]
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- Locks the counts of each topic, in order, before anything below them is touched.
    INSERT INTO {schema}.headcounts AS h (topic, members, people)
    SELECT topic, sum(change), 0
    FROM unnest(_topics, _changes) AS i (topic, change)
    GROUP BY topic ORDER BY topic COLLATE "C"
    ON CONFLICT (topic) DO UPDATE SET members = h.members + excluded.members;

    WITH counted AS (
        INSERT INTO {schema}.people AS p (topic, person, members)
        SELECT topic, person, change
        FROM unnest(_topics, _persons, _changes) AS i (topic, person, change)
        WHERE person <> '' ORDER BY topic COLLATE "C", person COLLATE "C"
        ON CONFLICT (topic, person) DO UPDATE SET members = p.members + excluded.members
        RETURNING p.topic, p.person, p.members
    ), came AS (
        SELECT c.topic, sum((c.members > 0)::integer - (c.members - i.change > 0)::integer) AS people
        FROM counted c
        JOIN unnest(_topics, _persons, _changes) AS i (topic, person, change)
          ON i.topic = c.topic AND i.person = c.person
        GROUP BY c.topic
        UNION ALL
        SELECT topic, sum(change) FROM unnest(_topics, _persons, _changes) AS i (topic, person, change)
        WHERE person = '' GROUP BY topic
    )
    UPDATE {schema}.headcounts h SET people = h.people + came.people
    FROM (SELECT topic, sum(people) AS people FROM came GROUP BY topic) came
    WHERE h.topic = came.topic;

    DELETE FROM {schema}.people WHERE members = 0 AND (topic, person) IN (
        SELECT topic, person FROM unnest(_topics, _persons) AS i (topic, person));
    DELETE FROM {schema}.headcounts WHERE members = 0 AND topic = ANY (_topics);
END $$;

CREATE OR REPLACE FUNCTION {schema}.count_members() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    _topics text[];
    _persons text[];
    _changes bigint[];
BEGIN
    IF TG_OP = 'INSERT' THEN
        SELECT array_agg(topic), array_agg(person), array_agg(n) INTO _topics, _persons, _changes
        FROM (SELECT topic, person, count(*) AS n FROM came GROUP BY topic, person) i;
    ELSIF TG_OP = 'DELETE' THEN
        SELECT array_agg(topic), array_agg(person), array_agg(n) INTO _topics, _persons, _changes
        FROM (SELECT topic, person, -count(*) AS n FROM went GROUP BY topic, person) i;
    ELSE
        SELECT array_agg(topic), array_agg(person), array_agg(n) INTO _topics, _persons, _changes
        FROM (
            SELECT topic, person, sum(n)::bigint AS n FROM (
                SELECT topic, person, 1 AS n FROM came
                UNION ALL SELECT topic, person, -1 FROM went
            ) both_ways GROUP BY topic, person HAVING sum(n) <> 0
        ) i;
    END IF;
    IF _topics IS NOT NULL THEN
        PERFORM {schema}.count_change(_topics, _persons, _changes);
    END IF;
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER count_insert AFTER INSERT ON {schema}.members
    REFERENCING NEW TABLE AS came
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.count_members();
CREATE OR REPLACE TRIGGER count_update AFTER UPDATE ON {schema}.members
    REFERENCING OLD TABLE AS went NEW TABLE AS came
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.count_members();
CREATE OR REPLACE TRIGGER count_delete AFTER DELETE ON {schema}.members
    REFERENCING OLD TABLE AS went
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.count_members();

-- Each (topic, member) at most once.
CREATE OR REPLACE FUNCTION {schema}.enter(
    _process uuid, _lease double precision, _topics text[], _members text[], _infos bytea[],
    _persons text[]
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    _changed_topics text[];
    _changed_members text[];
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    INSERT INTO {schema}.processes (id, until)
    VALUES (_process, clock_timestamp() + _lease * interval '1 second')
    ON CONFLICT (id) DO UPDATE SET until = excluded.until;
    WITH changed AS (
        INSERT INTO {schema}.members AS m (topic, member, process, person, info)
        SELECT topic, member, _process, person, info
        FROM unnest(_topics, _members, _persons, _infos) AS i (topic, member, person, info)
        ORDER BY topic COLLATE "C", member COLLATE "C"
        ON CONFLICT (topic, member) DO UPDATE
            SET process = excluded.process, person = excluded.person, info = excluded.info
            WHERE (m.process, m.person, m.info)
                  IS DISTINCT FROM (excluded.process, excluded.person, excluded.info)
        RETURNING topic, member
    )
    SELECT array_agg(topic), array_agg(member) INTO _changed_topics, _changed_members FROM changed;
    PERFORM {schema}.announce(_changed_topics, _changed_members);
END $$;

CREATE OR REPLACE FUNCTION {schema}.leave(_process uuid, _topics text[], _members text[])
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    _gone_topics text[];
    _gone_members text[];
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    WITH mine AS (
        SELECT m.topic, m.member FROM {schema}.members m
        JOIN unnest(_topics, _members) AS i (topic, member)
          ON i.topic = m.topic AND i.member = m.member
        WHERE m.process = _process ORDER BY m.topic, m.member FOR UPDATE OF m
    ), gone AS (
        DELETE FROM {schema}.members m USING mine
        WHERE m.topic = mine.topic AND m.member = mine.member AND m.process = _process
        RETURNING m.topic, m.member
    )
    SELECT array_agg(topic), array_agg(member) INTO _gone_topics, _gone_members FROM gone;
    PERFORM {schema}.announce(_gone_topics, _gone_members);
END $$;

CREATE OR REPLACE FUNCTION {schema}.end_processes(_processes uuid[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    _gone_topics text[];
    _gone_members text[];
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    DELETE FROM {schema}.processes WHERE id = ANY (_processes);
    WITH theirs AS (
        SELECT topic, member FROM {schema}.members
        WHERE process = ANY (_processes) ORDER BY topic, member FOR UPDATE
    ), gone AS (
        DELETE FROM {schema}.members m USING theirs
        WHERE m.topic = theirs.topic AND m.member = theirs.member AND m.process = ANY (_processes)
        RETURNING m.topic, m.member
    )
    SELECT array_agg(topic), array_agg(member) INTO _gone_topics, _gone_members FROM gone;
    PERFORM {schema}.announce(_gone_topics, _gone_members);
END $$;

-- Extend a lease. False: it had run out, and the members are gone.
CREATE OR REPLACE FUNCTION {schema}.beat(_process uuid, _lease double precision)
RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    UPDATE {schema}.processes SET until = clock_timestamp() + _lease * interval '1 second'
    WHERE id = _process;
    RETURN FOUND;
END $$;

-- Let the members of processes leave whose lease has run out. While nobody swept, the server may
-- have stood still, and then nobody could extend a lease: those get some more time.
CREATE OR REPLACE FUNCTION {schema}.sweep(_grace double precision) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    _now timestamptz := clock_timestamp();
    _swept timestamptz := (SELECT swept FROM {schema}.meta);
    _gone uuid[];
BEGIN
    IF _swept > _now - interval '0.5 seconds' AND _swept <= _now
       OR NOT pg_try_advisory_xact_lock(hashtextextended('{schema} sweep', 0)) THEN
        RETURN;
    END IF;
    PERFORM set_config('synchronous_commit', 'off', true);
    UPDATE {schema}.meta SET swept = _now;
    IF _swept < _now - interval '4 seconds' THEN
        UPDATE {schema}.processes SET until = _now + _grace * interval '1 second'
        WHERE until > _swept AND until < _now + _grace * interval '1 second';
    END IF;
    _gone := ARRAY(SELECT id FROM {schema}.processes WHERE until < _now FOR UPDATE SKIP LOCKED);
    IF cardinality(_gone) > 0 THEN
        PERFORM {schema}.end_processes(_gone);
    END IF;
END $$;

CREATE OR REPLACE FUNCTION {schema}.members_of(_topic text)
RETURNS TABLE (member text, info bytea) LANGUAGE sql STABLE AS $$
    SELECT member, info FROM {schema}.members WHERE topic = _topic
$$;

CREATE OR REPLACE FUNCTION {schema}.present(_topics text[], _members text[])
RETURNS TABLE (topic text, member text, info bytea) LANGUAGE sql STABLE AS $$
    SELECT m.topic, m.member, m.info
    FROM unnest(_topics, _members) AS i (topic, member)
    JOIN {schema}.members m ON m.topic = i.topic AND m.member = i.member
$$;

CREATE OR REPLACE FUNCTION {schema}.headcount(_topic text)
RETURNS TABLE (members bigint, people bigint) LANGUAGE sql STABLE AS $$
    SELECT members, people FROM {schema}.headcounts WHERE topic = _topic
$$;
