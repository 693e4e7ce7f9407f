-- Events that a crash of the server may take: see publishing.sql.

-- The first offset that it may take; null: none.
ALTER TABLE {schema}.topics ADD COLUMN unsafe bigint;

-- Has its row until a crash: PostgreSQL empties an unlogged table when it recovers.
CREATE UNLOGGED TABLE {schema}.unbroken (
    one boolean PRIMARY KEY DEFAULT true CHECK (one)
);
INSERT INTO {schema}.unbroken DEFAULT VALUES;

-- Who was given the other tables gets this one, too.
DO $$
DECLARE
    _role oid;
BEGIN
    FOR _role IN
        SELECT DISTINCT a.grantee FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.oid = '{schema}.topics'::regclass AND a.grantee <> c.relowner
          AND a.privilege_type = 'INSERT'
    LOOP
        EXECUTE format('GRANT ALL ON {schema}.unbroken TO %s',
                       CASE WHEN _role = 0 THEN 'PUBLIC' ELSE _role::regrole::text END);
    END LOOP;
END $$;
